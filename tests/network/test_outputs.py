"""Inputs and outputs of any structure: runs, and distances against closed forms."""

import math

import pytest
import torch
from torch import nn

from workbench.network.outputs import call, divergence, log_probabilities, probabilities, probability_lost, same_answers


class Adds(nn.Module):
    def forward(self, x, y=0):
        return x + y


class Takes(nn.Module):
    def forward(self, batch):
        return batch["x"] - batch["y"]


def test_inputs_are_positional_keyword_or_one():
    x, y = torch.ones(2), torch.full((2,), 3.0)
    assert call(Adds(), x).tolist() == [1, 1]
    assert call(Adds(), (x, y)).tolist() == [4, 4]
    assert call(Adds(), {"x": x, "y": y}).tolist() == [4, 4]
    assert call(Takes(), {"x": x, "y": y}).tolist() == [-2, -2]


def test_of_equal_answers_the_same_one_is_the_first(generator):
    outputs = torch.randint(2, (200, 12), generator=generator).float()
    assert same_answers(outputs, outputs).all()


def test_divergence_of_classes_is_kullback_and_leiblers():
    p, q = torch.tensor([[0.0, math.log(3)]]), torch.tensor([[0.0, 0.0]])
    wanted = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    assert float(divergence(p, q)) == pytest.approx(wanted)
    assert float(divergence(p, p)) == 0
    places = p[:, :, None, None].expand(1, 2, 4, 4)  # the same at every place
    assert float(divergence(places, q[:, :, None, None].expand(1, 2, 4, 4))) == pytest.approx(wanted)


def test_divergence_of_other_tensors_is_half_the_relative_error():
    x = torch.tensor([[[3.0], [4.0]]])
    assert float(divergence([x], [1.1 * x])) == pytest.approx(0.01 / 2, rel=1e-4)


def test_the_probability_lost_is_the_accuracy_lost_if_labels_are_drawn_by_the_probabilities(generator):
    wanted, made = torch.randn(2, 50, 6, generator=generator)
    p = wanted.double().softmax(1)
    labels = torch.multinomial(p, 20_000, replacement=True, generator=generator)  # (50, draws)
    right = [(labels == outputs.argmax(1, keepdim=True)).double() for outputs in (wanted, made)]
    drawn = (right[0] - right[1]).mean(1)
    assert probability_lost(wanted, made).numpy() == pytest.approx(drawn.numpy(), abs=0.03)
    assert float(probability_lost(wanted, made).mean()) == pytest.approx(float(drawn.mean()), abs=0.004)
    assert torch.equal(probability_lost(p, made), probability_lost(wanted, made))  # of probabilities as they are
    assert not probability_lost(wanted, 2 * wanted).any()
    assert probability_lost(wanted.reshape(5, 6, 10), made.reshape(5, 6, 10)).shape == (5,)


def test_outputs_that_are_probabilities_are_taken_as_they_are(generator):
    logits, others = torch.randn(2, 5, 4, generator=generator, dtype=torch.float64)
    shares = logits.softmax(1)
    assert torch.equal(probabilities(shares), shares)
    assert torch.allclose(log_probabilities(shares), log_probabilities(logits))
    assert float(divergence(shares, shares)) == 0
    assert float(divergence(shares, others.softmax(1))) == pytest.approx(float(divergence(logits, others)))
    zeros = torch.zeros(1, 4)
    assert torch.allclose(probabilities(zeros), torch.full((1, 4), 0.25, dtype=torch.float64))
    assert torch.equal(probabilities(shares[:, :2], all_classes=False), shares[:, :2])  # the others are left out
    sure = torch.tensor([[1.0, 0.0]])
    assert 0 < float(divergence(sure, sure.flip(1))) < 100  # a probability of zero has a logarithm
    places = [x[:, :, None].expand(5, 4, 2)[..., None] for x in (logits, others)]
    assert float(divergence(*(x.softmax(1) for x in places))) == pytest.approx(float(divergence(*places)))
