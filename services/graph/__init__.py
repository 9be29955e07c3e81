"""The process graph of an observation as a picture: what depends on what, and how far each part is."""

from services.graph.dot import to_dot
from services.graph.graphviz import find_dot, render
from services.graph.model import Edge, Node, ProcessGraph
from services.graph.reading import read_graph
from services.graph.text import to_text

__all__ = ["Edge", "Node", "ProcessGraph", "find_dot", "read_graph", "render", "to_dot", "to_text"]
