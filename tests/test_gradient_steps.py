"""The table of GradientSteps, for readers without JavaScript, is what torch gives."""

import html
import re

import pytest
import torch
import torch.nn.functional as F

from llm_core.course.widgets import GradientSteps

COUNTS = {" ": 4, "&": 3, "i": 1}


@pytest.mark.parametrize(
    ("rate", "start"), [(1.0, (-3.0, 3.0)), (0.1, (0.0, 0.0)), (20.0, (5.0, -5.0))]
)
def test_the_fallback_lists_the_steps_that_autograd_takes(rate, start):
    table = html.unescape(GradientSteps(COUNTS, rate, start).fallback())
    rows = re.findall(r"<tr>(.*?)</tr>", table)[1:]
    assert len(rows) == 11
    goal = torch.tensor([4.0, 3.0, 1.0], dtype=torch.float64) / 8
    free = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    for row in rows:
        logits = torch.cat([free, torch.zeros(1, dtype=torch.float64)])
        loss = F.cross_entropy(logits, goal)
        *shares, shown_loss = re.findall(r"<td>([\d.]+)", row)
        expected = (100 * logits.softmax(0)).tolist()
        assert [float(share) for share in shares] == pytest.approx(expected, abs=0.051)
        assert float(shown_loss) == pytest.approx(loss.item(), abs=6e-5)
        (slopes,) = torch.autograd.grad(loss, free)
        free = (free - rate * slopes).detach().requires_grad_()


def test_the_fallback_names_the_characters_and_the_goal():
    table = html.unescape(GradientSteps(COUNTS).fallback())
    header = re.findall(r'<th scope="col">(.*?)</th>', table)
    assert header == ["step", "␣", "&", "i", "loss"]
    assert "counted: ␣ 50.0 %, & 37.5 %, i 12.5 %" in table
