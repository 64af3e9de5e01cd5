#include "libgenossm/tasks/perceptron.h"

#include <algorithm>
#include <cmath>

#include "libgenossm/tasks/random_stream.h"

namespace genossm {
namespace {

constexpr Index kRows = 32;                          // of a batch, one task forward
constexpr Index kUnits = 16;                         // hidden units, one task of the update
constexpr double kMostSurprise = 36.04365338911715;  // -ln 2.2e-16

Index parts(Index n, Index size) { return (n + size - 1) / size; }

// Logits become p - y; returns -ln p(label).
double to_residual(float* row, Index classes, std::int32_t label) {
  const double most = *std::max_element(row, row + classes);
  const double own = row[label] - most;
  double sum = 0;
  for (Index j = 0; j < classes; ++j) sum += std::exp(row[j] - most);
  for (Index j = 0; j < classes; ++j) {
    const double p = std::exp(row[j] - most) / sum;
    row[j] = static_cast<float>(j == label ? p - 1 : p);
  }
  return std::log(sum) - own;
}

void activate(const Network& network, const RowMatrix& x, RowMatrix& active, RowMatrix& logits) {
  active.noalias() = x * network.hidden.weight.transpose();
  active.rowwise() += network.hidden.bias.transpose();
  active = active.cwiseMax(0.0f);
  logits.noalias() = active * network.output.weight.transpose();
  logits.rowwise() += network.output.bias.transpose();
}

struct Rates {
  float rate, first, second, epsilon;
};

void adam(const Rates& r, Eigen::Ref<const RowMatrix> gradient, auto&& now, auto&& first,
          auto&& second) {
  first = r.first * first + (1 - r.first) * gradient;
  second = r.second * second + (1 - r.second) * gradient.cwiseAbs2();
  now.array() -= r.rate * first.array() / (second.array().sqrt() + r.epsilon);
}

}  // namespace

Layer Layer::random(Index outputs, Index inputs, double limit, std::uint64_t seed,
                    std::uint64_t stream) {
  Layer out = zero(outputs, inputs);
  RandomStream random(seed, stream);
  for (Index i = 0; i < out.weight.size(); ++i) {
    out.weight.data()[i] = static_cast<float>(limit * (2 * random.uniform() - 1));
  }
  return out;
}

Layer Layer::zero(Index outputs, Index inputs) {
  return {RowMatrix::Zero(outputs, inputs), Eigen::VectorXf::Zero(outputs)};
}

Perceptron::Perceptron(Index inputs, Index hidden, Index classes, const AdamOptions& options,
                       std::uint64_t seed)
    : options_(options),
      now_{Layer::random(hidden, inputs, std::sqrt(6.0 / static_cast<double>(inputs)), seed, 2),
           Layer::random(classes, hidden, std::sqrt(6.0 / static_cast<double>(hidden + classes)),
                         seed, 3)},
      first_{Layer::zero(hidden, inputs), Layer::zero(classes, hidden)},
      second_{Layer::zero(hidden, inputs), Layer::zero(classes, hidden)} {}

void Perceptron::forward(const RowMatrix& z, const std::vector<std::int32_t>& labels,
                         const std::vector<Index>& batch, Cpu& cpu) {
  const auto n = static_cast<Index>(batch.size());
  const Index hidden = now_.hidden.weight.rows(), classes = now_.output.weight.rows();
  x_.resize(n, z.cols());
  active_.resize(n, hidden);
  residual_.resize(n, classes);
  back_.resize(n, hidden);
  const float part = 1.0f / static_cast<float>(n);
  cpu.for_each(parts(n, kRows), [&](Index t) {
    const Index begin = t * kRows, count = std::min(kRows, n - begin);
    RowMatrix x(count, z.cols()), active(count, hidden), logits(count, classes);
    for (Index r = 0; r < count; ++r) {
      x.row(r) = z.row(batch[static_cast<std::size_t>(begin + r)]);
    }
    activate(now_, x, active, logits);
    for (Index r = 0; r < count; ++r) {
      const auto row = static_cast<std::size_t>(batch[static_cast<std::size_t>(begin + r)]);
      to_residual(logits.row(r).data(), classes, labels[row]);
    }
    logits *= part;
    x_.middleRows(begin, count) = x;
    active_.middleRows(begin, count) = active;
    residual_.middleRows(begin, count) = logits;
    RowMatrix back = logits * now_.output.weight;
    back.array() *= (active.array() > 0).cast<float>();
    back_.middleRows(begin, count) = back;
  });
}

void Perceptron::unit_gradients(Index first, Index count, RowMatrix& hidden,
                                RowMatrix& output) const {
  const auto penalty = static_cast<float>(options_.penalty);
  hidden.noalias() = back_.middleCols(first, count).transpose() * x_;
  hidden += penalty * now_.hidden.weight.middleRows(first, count);
  output.noalias() = residual_.transpose() * active_.middleCols(first, count);
  output += penalty * now_.output.weight.middleCols(first, count);
}

void Perceptron::step(const RowMatrix& z, const std::vector<std::int32_t>& labels,
                      const std::vector<Index>& batch, Cpu& cpu) {
  forward(z, labels, batch, cpu);
  ++steps_;
  const auto t = static_cast<double>(steps_);
  const double correction =
      std::sqrt(1 - std::pow(options_.second_decay, t)) / (1 - std::pow(options_.first_decay, t));
  const Rates rates{static_cast<float>(options_.learning_rate * correction),
                    static_cast<float>(options_.first_decay),
                    static_cast<float>(options_.second_decay),
                    static_cast<float>(options_.epsilon)};
  const Index units = now_.hidden.weight.rows();
  cpu.for_each(parts(units, kUnits), [&](Index part) {
    const Index begin = part * kUnits, count = std::min(kUnits, units - begin);
    RowMatrix hidden, output;
    unit_gradients(begin, count, hidden, output);
    adam(rates, hidden, now_.hidden.weight.middleRows(begin, count),
         first_.hidden.weight.middleRows(begin, count),
         second_.hidden.weight.middleRows(begin, count));
    adam(rates, output, now_.output.weight.middleCols(begin, count),
         first_.output.weight.middleCols(begin, count),
         second_.output.weight.middleCols(begin, count));
  });
  const RowMatrix hidden = back_.colwise().sum().transpose();
  const RowMatrix output = residual_.colwise().sum().transpose();
  adam(rates, hidden, now_.hidden.bias, first_.hidden.bias, second_.hidden.bias);
  adam(rates, output, now_.output.bias, first_.output.bias, second_.output.bias);
}

Network Perceptron::gradient(const RowMatrix& z, const std::vector<std::int32_t>& labels,
                             const std::vector<Index>& batch, Cpu& cpu) {
  forward(z, labels, batch, cpu);
  Network out = now_;
  unit_gradients(0, now_.hidden.weight.rows(), out.hidden.weight, out.output.weight);
  out.hidden.bias = back_.colwise().sum().transpose();
  out.output.bias = residual_.colwise().sum().transpose();
  return out;
}

double log_loss_sum(const Network& network, const RowMatrix& z,
                    const std::vector<std::int32_t>& labels, const std::vector<Index>& rows,
                    Cpu& cpu) {
  constexpr Index kStrip = 256;
  const auto n = static_cast<Index>(rows.size());
  std::vector<double> sums(static_cast<std::size_t>(parts(n, kStrip)), 0.0);
  cpu.for_each(parts(n, kStrip), [&](Index t) {
    const Index begin = t * kStrip, count = std::min(kStrip, n - begin);
    RowMatrix x(count, z.cols()), active, logits;
    for (Index r = 0; r < count; ++r) {
      x.row(r) = z.row(rows[static_cast<std::size_t>(begin + r)]);
    }
    activate(network, x, active, logits);
    for (Index r = 0; r < count; ++r) {
      const auto row = static_cast<std::size_t>(rows[static_cast<std::size_t>(begin + r)]);
      sums[static_cast<std::size_t>(t)] +=
          std::min(to_residual(logits.row(r).data(), logits.cols(), labels[row]), kMostSurprise);
    }
  });
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

}  // namespace genossm
