#include "libgenossm/runtime/self_test.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/activation/activation.h"
#include "kernels/attention/attention.h"
#include "kernels/causal_conv/causal_conv.h"
#include "kernels/diagonal_scan/diagonal_scan.h"
#include "kernels/embedding/embedding.h"
#include "kernels/fir/fir.h"
#include "kernels/hyena_filter/hyena_filter.h"
#include "kernels/long_conv/long_conv.h"
#include "kernels/matmul/matmul.h"
#include "kernels/norm/norm.h"
#include "kernels/pool/pool.h"
#include "kernels/rope/rope.h"
#include "kernels/selective_scan/selective_scan.h"
#include "kernels/ssd/ssd.h"
#include "kernels/token_scores/token_scores.h"
#include "libgenossm/runtime/lane.h"

namespace genossm {
namespace {

// Numbers in [low, high), the same everywhere.
class Numbers {
 public:
  Buffer<float> operator()(Index n, float low = -1, float high = 1) {
    Buffer<float> out(n);
    for (float& v : out) v = low + (high - low) * static_cast<float>(next() >> 8) * 0x1p-24f;
    return out;
  }
  std::vector<std::int32_t> tokens(Index n, std::int32_t below) {
    std::vector<std::int32_t> out(static_cast<std::size_t>(n));
    for (std::int32_t& t : out) t = static_cast<std::int32_t>(next() >> 8) % below;
    return out;
  }

 private:
  std::uint32_t next() { return seed_ = seed_ * 1664525u + 1013904223u; }
  std::uint32_t seed_ = 1;
};

using Values = std::vector<double>;

Values values_of(const Buffer<float>& b) { return {b.begin(), b.end()}; }

double relative_error(const Values& got, const Values& want) {
  double largest = 0, worst = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double difference = std::abs(got[i] - want[i]);
    if (!std::isfinite(difference)) return std::numeric_limits<double>::infinity();
    largest = std::max(largest, std::abs(want[i]));
    worst = std::max(worst, difference);
  }
  return largest > 0 ? worst / largest : worst;
}

// Sizes that leave a rest everywhere.
constexpr Index L = 333, D = 75, N = 5;
constexpr double kBound = 1e-5;

class OpChecks {
 public:
  explicit OpChecks(Cpu& cpu) : cpu_(cpu) {}

  // once(device) gives all that the op has written.
  template <class Once>
  void add(const std::string& name, Once once, double bound = kBound) {
    checks.push_back({name, relative_error(once(cpu_), once(reference_)), bound});
  }

  Numbers numbers;
  std::vector<SelfCheck> checks;

 private:
  Cpu& cpu_;
  Reference reference_;
};

template <class AnyDevice, class Op>
void checked_run(AnyDevice& device, const Op& op) {
  check(op);
  run(device, op);
}

void tables(OpChecks& all) {
  const std::vector<std::int32_t> tokens = all.numbers.tokens(L, 12);
  const Buffer<float> table = all.numbers(12 * D), logits = all.numbers(L * 12, -4, 4);
  all.add(
      "embedding",
      [&](auto& device) {
        Buffer<float> y(L * D);
        checked_run(device, Embedding{{tokens.data(), {L}}, table.matrix(12, D), y.matrix(L, D)});
        return values_of(y);
      },
      0);
  const std::int32_t alphabet[] = {7, 8, 9, 10};
  std::vector<std::int32_t> targets = tokens;
  for (std::int32_t& t : targets) t %= 4;
  all.add("token_scores", [&](auto& device) {
    Buffer<float> y(2 * L);
    checked_run(device, TokenScores{.logits = logits.matrix(L, 12),
                                    .alphabet = {alphabet, {4}},
                                    .target = {targets.data(), {L}},
                                    .logp = {y.data(), {L}},
                                    .entropy = {y.data() + L, {L}}});
    return values_of(y);
  });
}

void token_local(OpChecks& all) {
  const Buffer<float> x = all.numbers(L * D, -3, 3), z = all.numbers(L * D, -6, 6),
                      weight = all.numbers(D), bias = all.numbers(D);
  for (const NormKind kind : {NormKind::rms, NormKind::layer}) {
    all.add(kind == NormKind::rms ? "norm (rms)" : "norm (layer)", [&](auto& device) {
      Buffer<float> y(L * D);
      checked_run(device, Norm{.x = x.matrix(L, D),
                               .weight = weight.view(),
                               .bias = bias.view(),
                               .kind = kind,
                               .y = y.matrix(L, D)});
      return values_of(y);
    });
  }
  all.add("activation", [&](auto& device) {
    Buffer<float> y(L * D);
    checked_run(device,
                Activation{.x = x.matrix(L, D), .gate = z.matrix(L, D), .y = y.matrix(L, D)});
    return values_of(y);
  });
  const Buffer<float> w = all.numbers(48 * D);
  for (const Precision precision : {Precision::fp32, Precision::bf16}) {
    all.add(precision == Precision::fp32 ? "matmul" : "matmul (bf16)", [&](auto& on) {
      Device device{Reference{}};
      if constexpr (std::is_same_v<std::decay_t<decltype(on)>, Cpu>) device = Cpu(1);
      const MatmulWeight packed = MatmulWeight::pack(device, w.matrix(48, D), precision);
      Buffer<float> y(L * 48);
      checked_run(on, Matmul{.x = x.matrix(L, D), .weight = &packed, .y = y.matrix(L, 48)});
      return values_of(y);
    });
  }
  all.add("rope", [&](auto& device) {
    const float frequencies[] = {1, 0.1f, 0.01f, 0.001f};
    Buffer<float> y(L * 24);
    std::copy_n(x.data(), y.size(), y.data());
    checked_run(
        device,
        Rope{.x = y.matrix(L, 24), .heads = 3, .inv_freq = {frequencies, {4}}, .start = 1'000'000});
    return values_of(y);
  });
  all.add("pool", [&](auto& device) {
    Buffer<double> sum(D);
    std::fill(sum.begin(), sum.end(), 0.0);
    checked_run(device, Pool{.x = x.matrix(L, D), .sum = sum.view()});
    return Values(sum.begin(), sum.end());
  });
}

void recurrences(OpChecks& all) {
  const Buffer<float> x = all.numbers(L * D), z = all.numbers(L * D, -6, 6),
                      dt = all.numbers(L * D, -4, 1), skip = all.numbers(D), bias = all.numbers(D),
                      A = all.numbers(N * D, -8, -0.1f), B = all.numbers(L * N),
                      C = all.numbers(L * N);
  const View<const float, 3> b(B.data(), {L, 1, N}), c(C.data(), {L, 1, N});
  // Output and state in one piece.
  all.add("selective_scan", [&](auto& device) {
    Buffer<float> y((L + N) * D);
    std::fill(y.begin(), y.end(), 0.0f);
    checked_run(device, SelectiveScan{.u = x.matrix(L, D),
                                      .dt = dt.matrix(L, D),
                                      .dt_bias = bias.view(),
                                      .A = A.matrix(N, D),
                                      .B = b,
                                      .C = c,
                                      .skip = skip.view(),
                                      .z = z.matrix(L, D),
                                      .h = {y.data() + L * D, {N, D}},
                                      .y = y.matrix(L, D)});
    return values_of(y);
  });
  constexpr Index H = 5, P = 15;
  static_assert(H * P == D);
  all.add("ssd", [&](auto& device) {
    Buffer<float> y((L + N) * D);
    std::fill(y.begin(), y.end(), 0.0f);
    checked_run(device, Ssd{.x = x.matrix(L, D),
                            .dt = {dt.data(), {L, H}},
                            .dt_bias = {bias.data(), {H}},
                            .A = {A.data(), {H}},
                            .B = b,
                            .C = c,
                            .skip = skip.view(),
                            .z = z.matrix(L, D),
                            .h = {y.data() + L * D, {H, N, P}},
                            .y = y.matrix(L, D)});
    return values_of(y);
  });
  const Buffer<float> poles = all.numbers(N * D, 0.2f, 0.999f), residues = all.numbers(N * D);
  all.add("diagonal_scan", [&](auto& device) {
    Buffer<float> y((L + N) * D);
    std::fill(y.begin(), y.end(), 0.0f);
    checked_run(device, DiagonalScan{.u = x.matrix(L, D),
                                     .poles = {poles.data(), {N, 1, D}},
                                     .residues = {residues.data(), {N, 1, D}},
                                     .skip = skip.view(),
                                     .gate = z.matrix(L, D),
                                     .h = {y.data() + L * D, {N, 1, D}},
                                     .y = y.matrix(L, D)});
    return values_of(y);
  });
}

void convolutions(OpChecks& all) {
  constexpr Index W = 4;
  const Buffer<float> x = all.numbers(L * D), w = all.numbers(W * D), bias = all.numbers(D),
                      gate = all.numbers(L * D), taps = all.numbers(L * D),
                      tail = all.numbers((W - 1) * D);
  all.add("causal_conv", [&](auto& device) {
    Buffer<float> y((L + W - 1) * D);
    std::copy(tail.begin(), tail.end(), y.data() + L * D);
    checked_run(device, CausalConv{.x = x.matrix(L, D),
                                   .w = w.matrix(W, D),
                                   .bias = bias.view(),
                                   .tail = {y.data() + L * D, {W - 1, D}},
                                   .y = y.matrix(L, D)});
    return values_of(y);
  });
  all.add("fir", [&](auto& device) {
    Buffer<float> y((L + W - 1) * D);
    std::copy(tail.begin(), tail.end(), y.data() + L * D);
    checked_run(device, Fir{.x = x.matrix(L, D),
                            .taps = {w.data(), {D, W}},
                            .skip = bias.view(),
                            .gate = gate.matrix(L, D),
                            .tail = {y.data() + L * D, {W - 1, D}},
                            .y = y.matrix(L, D)});
    return values_of(y);
  });
  all.add("long_conv", [&](auto& device) {
    Buffer<float> y(L * D);
    const Buffer<float> work(long_conv_work(L, 1));
    checked_run(device, LongConv{.u = x.matrix(L, D),
                                 .h = taps.matrix(L, D),
                                 .skip = bias.view(),
                                 .gate = gate.matrix(L, D),
                                 .y = y.matrix(L, D),
                                 .work = work.view()});
    return values_of(y);
  });
  constexpr Index E = 5, H = 16;
  const Buffer<float> z = all.numbers(L * E), w0 = all.numbers(E * H), w1 = all.numbers(H * H),
                      b = all.numbers(H), freq = all.numbers(H, 0.5f, 3), last = all.numbers(H * D),
                      time = all.numbers(L, 0, 1), deltas = all.numbers(D, -20, -1);
  all.add("hyena_filter", [&](auto& device) {
    Buffer<float> a(L * H), y(L * D);
    checked_run(device, HyenaTrunk{.z = z.matrix(L, E),
                                   .w0 = w0.matrix(E, H),
                                   .b0 = b.view(),
                                   .w = {w1.data(), {1, H, H}},
                                   .b = b.matrix(1, H),
                                   .freq = freq.view(),
                                   .a = a.matrix(L, H)});
    checked_run(device, HyenaTaps{.a = a.matrix(L, H),
                                  .w = last.matrix(H, D),
                                  .time = time.view(),
                                  .deltas = deltas.view(),
                                  .h = y.matrix(L, D)});
    return values_of(y);
  });
}

void attention(OpChecks& all) {
  constexpr Index heads = 4, kv_heads = 2, E = 20;
  const Buffer<float> q = all.numbers(L * heads * E), k = all.numbers(L * kv_heads * E),
                      v = all.numbers(L * kv_heads * E);
  all.add("attention", [&](auto& device) {
    Buffer<float> y(L * heads * E);
    checked_run(device, Attention{.q = q.matrix(L, heads * E),
                                  .k = k.matrix(L, kv_heads * E),
                                  .v = v.matrix(L, kv_heads * E),
                                  .heads = heads,
                                  .kv_heads = kv_heads,
                                  .scale = 0.5f,
                                  .y = y.matrix(L, heads * E)});
    return values_of(y);
  });
}

}  // namespace

std::vector<SelfCheck> check_ops(Cpu& cpu) {
  OpChecks all(cpu);
  tables(all);
  token_local(all);
  recurrences(all);
  convolutions(all);
  attention(all);
  return std::move(all.checks);
}

ModelFigures ModelFigures::read(const std::filesystem::path& file) {
  const Json json = Json::read(file);
  ModelFigures out;
  out.weights_sha256 = json.text("weights_sha256");
  out.sequence = json.text("sequence");
  out.largest = json.number("largest");
  const auto numbers = [&](const char* key) {
    const Json list = json.array(key);
    std::vector<Index> all;
    for (Index i = 0; i < list.size(); ++i) all.push_back(list.at(i).as_integer());
    return all;
  };
  out.positions = numbers("positions");
  out.channels = numbers("channels");
  const Json rows = json.array("values");
  for (Index i = 0; i < rows.size(); ++i) {
    const Json row = rows.at(i);
    for (Index j = 0; j < row.size(); ++j) out.values.push_back(row.at(j).as_number());
  }
  if (out.values.empty() || out.values.size() != out.positions.size() * out.channels.size()) {
    fail(Fault::checkpoint, json.where() + ": not a value for each position and channel");
  }
  return out;
}

SelfCheck check_model(const OpenedModel& model, Device& device, const ModelFigures& figures,
                      double bound) {
  const auto length = static_cast<Index>(figures.sequence.size());
  const auto within = [](const std::vector<Index>& places, Index end) {
    return std::all_of(places.begin(), places.end(), [&](Index i) { return i >= 0 && i < end; });
  };
  if (!model.tokenizer || !within(figures.positions, length) ||
      !within(figures.channels, model.model.card().d_model)) {
    fail(Fault::checkpoint, model.path.string() + ": its selftest.json is of another model");
  }
  std::vector<std::int32_t> tokens(figures.sequence.size());
  model.tokenizer->encode(figures.sequence, tokens);
  std::vector<float> hidden;
  Lane lane(model.model, Features{}, kTile, kTile);
  const Tokens sequence(tokens);
  lane.run(device, std::span(&sequence, 1), [&](Index, Index, View<const float, 2> rows) {
    for (Index t = 0; t < rows.extent[0]; ++t) {
      hidden.insert(hidden.end(), rows.row(t), rows.row(t) + rows.extent[1]);
    }
  });
  SelfCheck check{model.name, 0, bound};
  std::size_t next = 0;
  for (const Index position : figures.positions) {
    for (const Index channel : figures.channels) {
      const auto at = static_cast<std::size_t>(position * model.model.card().d_model + channel);
      const double error = std::abs(static_cast<double>(hidden[at]) - figures.values[next++]);
      check.error = std::isfinite(error) ? std::max(check.error, error / figures.largest)
                                         : std::numeric_limits<double>::infinity();
      if (std::isinf(check.error)) return check;
    }
  }
  return check;
}

}  // namespace genossm
