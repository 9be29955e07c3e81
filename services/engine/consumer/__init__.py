"""The consumer: receives messages, runs steps in child processes, settles. Any number may run on a site."""
