"""The command that lists what registries have: make-inventory."""

import typer

from docker_charon.cli import arguments, terminal
from docker_charon.cli.help import Command
from docker_charon.cli.options import (
    Anonymous,
    CACert,
    Cert,
    Insecure,
    InventoryFile,
    InventoryImages,
    Jobs,
    Key,
    Password,
    PasswordStdin,
    Quiet,
    Username,
)
from docker_charon.cli.source_options import InsecureRegistries, Registries
from docker_charon.messages import say
from docker_charon.oci.host import DOCKER_HUB
from docker_charon.progress import counted


def make_inventory_command(
    context: typer.Context,
    images: InventoryImages = None,
    registry: Registries = None,
    file: InventoryFile = "-",
    insecure: Insecure = False,
    insecure_registry: InsecureRegistries = None,
    username: Username = None,
    password: Password = None,
    password_stdin: PasswordStdin = False,
    anonymous: Anonymous = False,
    cacert: CACert = None,
    cert: Cert = None,
    key: Key = None,
    jobs: Jobs = 4,
    quiet: Quiet = False,
) -> None:
    """Write an inventory, a small file that lists what registries have, and print the images in it.

    Take the inventory to the connected side and give it to make-payload with
    --already-transferred-payload: the payload then leaves out what the registry already has. An
    inventory is a payload without layers; it needs a few kilobytes for each image.
    """
    registries = arguments.names_of(registry or (DOCKER_HUB,))
    access = arguments.access_of(context)
    if len(registries) > 1 and access["username"] is not None:
        raise typer.BadParameter(
            "--username and the password are those of one registry: log in with docker login"
        )
    target = arguments.target_of(file)
    from docker_charon.transfer.inventory import make_inventory  # wrong usage does not need it

    with terminal.exit_on_error():
        listed = make_inventory(
            registries,
            target,
            arguments.names_of(images or ()),
            **access,
            insecure_registries=arguments.names_of(insecure_registry or ()),
            jobs=jobs,
            progress=not quiet,
        )
    if listed and isinstance(target, str):  # otherwise standard output has the inventory
        terminal.print_data("\n".join(listed))
    if not quiet:
        say(f"{counted(len(listed), 'image')} in the inventory")


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(
        "make-inventory",
        cls=Command,
        epilog="""\
Examples:
  docker-charon make-inventory -r registry.lan -f inventory.zip
  docker-charon make-payload -r registry.example.com -f update.zip \\
      --already-transferred-payload inventory.zip my-image:1.8""",
    )(make_inventory_command)
