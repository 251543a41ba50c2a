"""Learning rates at steps 0 to 59: optax's schedules in float64, PyTorch's for one cycle."""

import jax.numpy as jnp
import numpy as np
import optax
import torch

from store import Family

STEPS = 60


def rates(schedule):
    return np.array([schedule(jnp.float64(step)) for step in range(STEPS)])


def cosine(initial, steps, final):
    return optax.cosine_decay_schedule(initial, steps, alpha=final / initial)


def one_cycle(peak, steps, warmup, start_factor, final_factor):
    """PyTorch counts `steps` rates, the last at step `steps - 1`; from there on it is held."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=peak,
        total_steps=steps,
        pct_start=warmup,
        div_factor=start_factor,
        final_div_factor=final_factor,
        cycle_momentum=False,
    )
    values = []
    for _ in range(steps):
        values.append(schedule.get_last_lr()[0])
        optimizer.step()
        if len(values) < steps:
            schedule.step()
    return np.array(values + values[-1:] * (STEPS - steps))


def family():
    family = Family("schedules")

    def case(name, config, values):
        assert values.shape == (STEPS,)
        family.add(name, config, {"values": values})

    case("constant", {"constant": 0.1}, rates(optax.constant_schedule(0.1)))
    step = optax.exponential_decay(0.1, 10, 0.5, staircase=True)
    case("step", {"step": {"initial": 0.1, "every": 10, "factor": 0.5}}, rates(step))
    exponential = optax.exponential_decay(0.1, 5, 0.9)
    case("exponential", {"exponential": {"initial": 0.1, "factor": 0.9, "every": 5}}, rates(exponential))
    options = {"initial": 0.1, "steps": 40, "final": 0.001}
    case("cosine", {"cosine": options}, rates(cosine(**options)))

    options = {"peak": 0.1, "steps": 50, "warmup": 0.3, "start_factor": 25.0, "final_factor": 10000.0}
    case("one-cycle", {"one-cycle": options}, one_cycle(**options))

    pieces = [optax.constant_schedule(rate) for rate in (0.1, 0.05, 0.01)]
    config = {"piecewise": {"initial": 0.1, "at": [[10, 0.05], [30, 0.01]]}}
    case("piecewise", config, rates(optax.join_schedules(pieces, [10, 30])))

    options = {"initial": 0.1, "steps": 40, "final": 0.001}
    then = cosine(**options)
    warmup = optax.join_schedules([optax.linear_schedule(0.0, then(0), 10), then], [10])
    case("warmup", {"warmup": {"steps": 10, "then": {"cosine": options}}}, rates(warmup))
    return family
