"""A file with the names of images: its format is recognised by its content."""

from __future__ import annotations

from docker_charon.errors import DockerCharonError, InvalidReference
from docker_charon.lists.compose import is_compose, select_services
from docker_charon.lists.grep_output import as_list
from docker_charon.lists.image_list import ImageList, PassedOver, Selection
from docker_charon.lists.json_text import InvalidJSON, read_json
from docker_charon.lists.kustomization import is_kustomization, select_overrides
from docker_charon.lists.local_store import select_stored
from docker_charon.lists.manifests import select_images
from docker_charon.lists.name import shown
from docker_charon.lists.packages import selector_of
from docker_charon.lists.plain import is_plain, read_plain
from docker_charon.lists.scalar import split_key
from docker_charon.lists.tree import MOST_VALUES, Document, Mapping, Node, Scalar, Sequence
from docker_charon.lists.yaml_text import read_yaml
from docker_charon.oci.document import count_values

_INVISIBLE = "\u200b\u2060\ufeff"
"""Characters without a width, which come from web pages and from the start of other files."""
_LONGEST_SHOWN = 80  # characters of a line in an error
_HINT = (
    "a list has one name a line; Compose files, manifests for Kubernetes, and the output of helm, "
    "kubectl and docker in YAML or JSON are read too"
)


def read_images(text: str, file: str) -> ImageList:
    """Return the names of images in the text of a file, whose name is for messages only.

    Names in a plain list are returned as they are. In other formats, a value that is not a valid
    name of an image is passed over, and so is a line that cannot be read.

    Raises `InvalidReference` if a line of a plain list is not a name or if no format is recognised,
    and `DockerCharonError` if the text has more than `MOST_VALUES` values or begins as JSON and is
    not valid.
    """
    for character in _INVISIBLE:
        text = text.replace(character, "")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if max(count_values(text.encode("utf-8", "surrogatepass")), len(lines)) > MOST_VALUES:
        raise _failure(file, f"it has more than {MOST_VALUES:,} values")
    if is_plain(lines):
        images, unread = read_plain(lines)
        if unread is not None:
            raise _unrecognised(file, unread)
        return images
    try:
        documents = read_json(lines) if _is_json(text) else read_yaml(as_list(lines) or lines)
    except InvalidJSON as error:
        raise _failure(file, f"line {error.line} is not valid JSON ({error})") from None
    selected = _select(documents)
    if documents and not selected.formats:
        raise _unrecognised(file, _first_unread(documents, lines))
    return selected


def _select(documents: list[Document]) -> ImageList:
    selection = Selection()
    formats: list[str] = []
    for document in documents:
        if document.root is not None and (name := _select_document(document.root, selection)):
            formats.append(name)
        for unread in document.unread:
            selection.pass_over(unread.line, unread.text, unread.reason)
    return selection.finish(formats)


def _select_document(root: Node, selection: Selection) -> str:
    """Select the images of a document; return the name of its format, or ``""``."""
    if select_stored(root, selection):
        return "images of a machine"
    if isinstance(root, Sequence) and any(isinstance(item, Scalar) for item in root.items):
        for item in root.items:
            selection.take(item)
        return "a list in YAML"
    if not isinstance(root, Mapping):
        return "YAML" if select_images(root, selection) else ""
    if tool := selector_of(root):
        name, select = tool
        select(root, selection)
        return name
    if is_kustomization(root):
        select_overrides(root, selection)
        return "kustomize"
    if is_compose(root):
        select_services(root, selection)
        return "Compose"
    has_images = select_images(root, selection)
    if root.text("kind") and root.text("apiVersion"):
        return "Kubernetes"
    return "YAML" if has_images else ""


def _first_unread(documents: list[Document], lines: list[str]) -> PassedOver:
    """Return the line to show of a file whose format is not recognised, and why it is shown."""
    unread = [unread for document in documents for unread in document.unread]
    if unread:
        return PassedOver(unread[0].line, unread[0].text, unread[0].reason)
    shown = ((n, line) for n, line in enumerate(lines, 1) if line.partition("#")[0].strip(" -"))
    number, line = next(shown, (1, ""))
    text = line.strip().lstrip("- ")
    key = split_key(text) if text else None  # what follows the key may be a secret
    value = f"{key[0]}:" if key else ""
    return PassedOver(number, value, "nothing in the file says that it names images")


def _is_json(text: str) -> bool:
    start = text.lstrip()
    return start[:1] in ("{", "[") and not start.startswith("{{")


def _failure(file: str, reason: str) -> DockerCharonError:
    return DockerCharonError(f"cannot read the images from {file}: {reason}")


def _unrecognised(file: str, unread: PassedOver) -> InvalidReference:
    line = f"line {unread.line}"
    if unread.value:
        line += f" ({shown(unread.value, _LONGEST_SHOWN)!r})"
    return InvalidReference(
        f"cannot read the images from {file}: {line} is not the name of an image: {unread.reason}",
        hint=_HINT,
    )
