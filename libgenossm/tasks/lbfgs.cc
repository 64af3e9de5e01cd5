#include "libgenossm/tasks/lbfgs.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <vector>

namespace genossm {
namespace {

constexpr Index kIdle = 5;

// The inverse curvature as the last steps show it.
class Memory {
 public:
  explicit Memory(Index size) : size_(static_cast<std::size_t>(size)) {}

  void clear() { pairs_.clear(); }
  bool empty() const { return pairs_.empty(); }

  void add(Vector step, Vector change) {
    const double product = step.dot(change);
    // Rounding alone: such a pair would poison the estimate.
    if (product <= 1e-10 * step.norm() * change.norm()) return;
    if (pairs_.size() == size_) pairs_.pop_front();
    scale_ = product / change.squaredNorm();
    pairs_.push_back({std::move(step), std::move(change), 1 / product});
  }

  // The two-loop recursion.
  Vector times(Vector q) const {
    std::vector<double> along(pairs_.size());
    for (std::size_t i = pairs_.size(); i-- > 0;) {
      along[i] = pairs_[i].weight * pairs_[i].step.dot(q);
      q -= along[i] * pairs_[i].change;
    }
    if (!pairs_.empty()) q *= scale_;
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
      const double back = pairs_[i].weight * pairs_[i].change.dot(q);
      q += (along[i] - back) * pairs_[i].step;
    }
    return q;
  }

 private:
  struct Pair {
    Vector step, change;
    double weight;
  };
  std::size_t size_;
  std::deque<Pair> pairs_;
  double scale_ = 1;
};

// Halving at least, as a parabola through the values suggests.
double shorter(double t, double slope, double rise) {
  const double best = -slope * t * t / (2 * (rise - slope * t));
  return std::isfinite(best) ? std::clamp(best, 0.1 * t, 0.5 * t) : 0.1 * t;
}

}  // namespace

LbfgsResult minimise(const std::function<double(const Vector&, Vector&)>& function,
                     const LbfgsOptions& options, Vector& x) {
  Vector gradient(x.size()), next_gradient(x.size()), next;
  LbfgsResult out;
  out.value = function(x, gradient);
  Memory memory(options.memory);
  Index idle = 0;  // steps in a row that gained nothing but rounding
  const auto end = [&](double decrement) {
    out.converged = decrement <= 100 * options.tolerance;
    return out;
  };
  while (true) {
    const double decrement = 0.5 * gradient.squaredNorm();
    if (decrement <= options.tolerance) {
      out.converged = true;
      return out;
    }
    if (idle == kIdle) return end(decrement);
    if (out.iterations == options.max_iterations) return out;
    Vector direction = -memory.times(gradient);
    double slope = direction.dot(gradient);
    if (!(slope < 0)) {
      memory.clear();
      direction = -gradient;
      slope = -gradient.squaredNorm();
    }
    double t = 1, value = 0;
    bool down = false;
    for (int tries = 0; tries < 30 && !down; ++tries) {
      next = x + t * direction;
      value = function(next, next_gradient);
      const double rise = value - out.value;
      down = rise <= 1e-4 * t * slope + options.noise * std::abs(out.value);
      if (!down) t = shorter(t, slope, rise);
    }
    if (!down) {
      if (memory.empty()) return end(decrement);
      memory.clear();  // once more, straight down
      continue;
    }
    memory.add(next - x, next_gradient - gradient);
    x.swap(next);
    gradient.swap(next_gradient);
    idle = out.value - value <= options.noise * std::abs(value) ? idle + 1 : 0;
    out.value = value;
    ++out.iterations;
  }
}

}  // namespace genossm
