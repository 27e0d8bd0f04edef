"""The command line: its commands, options, help, and the messages that people see."""
