"""The process engine: publisher, manager, consumers, the broker between them, and all of it in one program."""
