"""Mamba blocks in plain numpy, float64, written from the formulas: what trace is held against."""
import numpy


def softplus(x):
    return numpy.where(x > 20, x, numpy.log1p(numpy.exp(numpy.minimum(x, 20))))


def silu(x):
    return x / (1 + numpy.exp(-x))


def rms_norm(x, weight, eps=1e-5):
    return x / numpy.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def causal_conv(x, weight, bias):
    """x [L, C], weight [C, 1, W]."""
    width = weight.shape[-1]
    padded = numpy.concatenate([numpy.zeros((width - 1, x.shape[1])), x])
    return sum(padded[k : k + len(x)] * weight[:, 0, k] for k in range(width)) + bias


def mamba1(w, x, projections=None):
    """w(name) are the weights of one mixer, x [L, D] what it reads. Returns step sizes [L, C], rates [C, N],
    states [L, C, N] and the output [L, D]."""
    p = projections or w
    u, z = numpy.split(x @ p("in_proj.weight").T, 2, axis=1)
    u = silu(causal_conv(u, w("conv1d.weight"), w("conv1d.bias")))
    A = -numpy.exp(w("A_log"))
    rank = w("dt_proj.weight").shape[1]
    low = u @ w("x_proj.weight").T
    delta = softplus(low[:, :rank] @ w("dt_proj.weight").T + w("dt_proj.bias"))
    B, C = numpy.split(low[:, rank:], 2, axis=1)
    h, states, y = numpy.zeros(A.shape), [], []
    for t in range(len(x)):
        h = numpy.exp(delta[t][:, None] * A) * h + (delta[t] * u[t])[:, None] * B[t]
        states.append(h)
        y.append(h @ C[t] + w("D") * u[t])
    out = (numpy.array(y) * silu(z)) @ p("out_proj.weight").T
    return delta, A, numpy.array(states), out


def mamba2(w, x, eps=1e-5):
    """The same with one rate a head: rates [H, 1], states [L, H, P * N]."""
    heads = len(w("A_log"))
    inner = w("norm.weight").shape[0]
    channels = w("conv1d.weight").shape[0]
    state = (channels - inner) // 2  # one group
    z, xBC, dt = numpy.split(x @ w("in_proj.weight").T, [inner, inner + channels], axis=1)
    xBC = silu(causal_conv(xBC, w("conv1d.weight"), w("conv1d.bias")))
    u, B, C = numpy.split(xBC, [inner, inner + state], axis=1)
    delta = softplus(dt + w("dt_bias"))
    A = -numpy.exp(w("A_log"))
    u = u.reshape(len(x), heads, -1)
    h, states, y = numpy.zeros((heads, u.shape[2], state)), [], []
    for t in range(len(x)):
        h = numpy.exp(delta[t] * A)[:, None, None] * h + (delta[t][:, None] * u[t])[:, :, None] * B[t]
        states.append(h.reshape(heads, -1))
        y.append((h @ C[t] + w("D")[:, None] * u[t]).reshape(-1))
    out = rms_norm(numpy.array(y) * silu(z), w("norm.weight"), eps) @ w("out_proj.weight").T
    return delta, A[:, None], numpy.array(states), out


def tracks(delta, A, states):
    """What docs/trace.md defines, of one block and direction, a value a token."""
    rates = delta[:, :, None] * numpy.abs(A)  # [L, C, N]
    lives = numpy.log(2) / rates
    memory, m = [], 0
    for t in range(len(delta)):
        m = 1 + numpy.exp(-rates[t]) * m
        memory.append(m.mean())
    return {
        "delta": delta.mean(1),
        "half_life": numpy.exp(numpy.log(lives).mean((1, 2))),
        "slowest": lives.max((1, 2)),
        "state_norm": numpy.sqrt((states.reshape(len(states), -1) ** 2).sum(1)),
        "memory": numpy.array(memory),
    }
