"""A model of the life of a process, and the database held against it.

``reference`` says in plain Python what each operation does; ``sql`` does the same with the real queries; ``world`` is
what surrounds them: a broker that loses, doubles and delays, workers and managers that die. The tests run all three
side by side.

    TIANYU_TEST_MODEL_EXAMPLES=5000 pytest tests/model/test_machine.py     # explore at random, longer
"""
