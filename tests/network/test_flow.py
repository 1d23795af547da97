"""The graph of a network: layers, and the places where values meet."""

import pytest
import torch
from torch import nn

import workbench as wb
from workbench.network.tracing import Node, find_layers


def graph_of(forward, *names, shape=(4, 9, 9)):
    """The graph of a network of 3x3 convolutions of these names."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            for name in names:
                self.add_module(name, nn.Conv2d(4, 4, 3, padding=1))

        def forward(self, x):
            return forward(self, x)

    return find_layers(wb.Network(Net(), shape)).graph


def layer(name, *inputs):
    return Node("layer", name, inputs)


def test_a_chain():
    found = graph_of(lambda net, x: torch.relu(net.b(nn.functional.max_pool2d(net.a(x), 2) * 2 + 1)), "a", "b")
    assert found == (Node("input"), layer("a", 0), layer("b", 1), Node("output", inputs=(2,)))


@pytest.mark.parametrize("add", [lambda x, y: x + y, lambda x, y: x.add_(y), torch.add, lambda x, y: x.__radd__(y)])
def test_a_residual_path(add):
    def forward(net, x):
        x = net.a(x)
        return net.d(torch.relu_(add(net.c(torch.relu(net.b(x))), x)))

    wanted = (Node("input"), layer("a", 0), layer("b", 1), layer("c", 2), Node("add", inputs=(3, 1)), layer("d", 4))
    assert graph_of(forward, *"abcd") == (*wanted, Node("output", inputs=(5,)))


def test_a_layer_that_is_called_twice_and_values_that_lead_nowhere():
    def forward(net, x):
        x = net.a(x)
        _ = x + net.b(x)
        return net.a(x)

    wanted = (Node("input"), layer("a", 0), layer("b", 1), Node("again", "a", (1,)))
    assert graph_of(forward, *"ab") == (*wanted, Node("output", inputs=(3,)))


def test_several_inputs_and_outputs():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(3, 4), nn.Linear(5, 4)

        def forward(self, first, second):
            return {"both": self.one(first) @ self.two(second).T, "second": second}

    found = find_layers(wb.Network(Two(), example=(torch.zeros(2, 3), torch.zeros(2, 5)))).graph
    wanted = (Node("input"), layer("one", 0), layer("two", 0), Node("join", inputs=(1, 2)))
    assert found == (*wanted, Node("output", inputs=(3, 0)))


def test_every_layer_is_in_it_once(mixed):
    traced = find_layers(mixed)
    assert [node.name for node in traced.graph if node.kind == "layer"] == [one.name for one in traced.layers]
    assert all(i < place for place, node in enumerate(traced.graph) for i in node.inputs)
    assert wb.analyze(mixed).graph == traced.graph
