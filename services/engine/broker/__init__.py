"""The broker: queues of messages between manager and consumers, behind one Protocol with two implementations."""

from services.engine.broker.broker_protocol import Broker, Deliver, Delivery
from services.engine.broker.connect import await_broker, connect, is_process_table, open_broker
from services.engine.broker.message import Message, address_of, dead_letter_queue, event_queue, work_queue

__all__ = [
    "Broker",
    "Deliver",
    "Delivery",
    "Message",
    "address_of",
    "await_broker",
    "connect",
    "dead_letter_queue",
    "event_queue",
    "is_process_table",
    "open_broker",
    "work_queue",
]
