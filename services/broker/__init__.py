"""The broker: queues of messages between manager and consumers, behind one Protocol with two implementations."""

from services.broker.connect import await_broker, connect, is_process_table, open_broker
from services.broker.message import Message, address_of, dead_letter_queue, event_queue, work_queue
from services.broker.protocol import Broker, Deliver, Delivery

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
