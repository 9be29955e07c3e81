"""The process graph of an observation as a picture: what depends on what, and how far each part is."""

from services.operating.graph.dot import to_dot
from services.operating.graph.drawing import Edge, Node, ProcessGraph
from services.operating.graph.graph_reading import read_graph
from services.operating.graph.graphviz import find_dot, render
from services.operating.graph.text import to_text

__all__ = ["Edge", "Node", "ProcessGraph", "find_dot", "read_graph", "render", "to_dot", "to_text"]
