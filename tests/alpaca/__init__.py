"""A telescope in the memory of the tests, which answers by ASCOM Alpaca."""
