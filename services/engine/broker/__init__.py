"""The broker: queues of messages between manager and consumers, behind one Protocol with two implementations."""

from services.engine.broker.broker_protocol import Broker, Deliver, Delivery, RefusedError
from services.engine.broker.connect import connect, is_process_table, open_broker
from services.engine.broker.message import PROBE, Message, address_of, dead_letter_queue, event_queue, work_queue

__all__ = [
    "PROBE",
    "Broker",
    "Deliver",
    "Delivery",
    "Message",
    "RefusedError",
    "address_of",
    "connect",
    "dead_letter_queue",
    "event_queue",
    "is_process_table",
    "open_broker",
    "work_queue",
]
