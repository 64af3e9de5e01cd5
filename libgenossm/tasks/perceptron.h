// Perceptron: one hidden layer of ReLU units, trained by Adam. Private to the fitting of heads.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/core/cpu.h"
#include "libgenossm/tasks/algebra.h"

namespace genossm {

// Weights and their running moments, of one shape.
struct Layer {
  RowMatrix weight;  // [outputs, inputs]
  Eigen::VectorXf bias;

  // Weights uniform in [-limit, limit), biases 0.
  static Layer random(Index outputs, Index inputs, double limit, std::uint64_t seed,
                      std::uint64_t stream);
  static Layer zero(Index outputs, Index inputs);
};

struct Network {
  Layer hidden, output;
};

struct AdamOptions {
  double learning_rate = 1e-3, first_decay = 0.9, second_decay = 0.999, epsilon = 1e-8;
  double penalty = 0;  // of half the squared weights, added to the mean loss of a batch
};

// Parameters and Adam's state (Kingma and Ba 2015).
class Perceptron {
 public:
  // He's limits for the hidden layer, Glorot's for the output.
  Perceptron(Index inputs, Index hidden, Index classes, const AdamOptions& options,
             std::uint64_t seed);

  const Network& network() const { return now_; }

  // One step on the mean log-loss of the rows `batch` of z. The same bytes for any thread count:
  // threads share out rows of the batch forward, and hidden units for the update.
  void step(const RowMatrix& z, const std::vector<std::int32_t>& labels,
            const std::vector<Index>& batch, Cpu& cpu);

  // Gradient of what step() descends, for tests.
  Network gradient(const RowMatrix& z, const std::vector<std::int32_t>& labels,
                   const std::vector<Index>& batch, Cpu& cpu);

 private:
  void forward(const RowMatrix& z, const std::vector<std::int32_t>& labels,
               const std::vector<Index>& batch, Cpu& cpu);
  // Rows [first, first + count) of the hidden layer and what hangs on them in the output layer.
  void unit_gradients(Index first, Index count, RowMatrix& hidden, RowMatrix& output) const;

  AdamOptions options_;
  Network now_, first_, second_;
  std::int64_t steps_ = 0;
  // [batch, ...]: input rows, hidden activations, d loss / d logits, d loss / d hidden sums.
  RowMatrix x_, active_, residual_, back_;
};

// Sum of -ln p(label) over `rows` of z; p no less than 2.2e-16.
double log_loss_sum(const Network& network, const RowMatrix& z,
                    const std::vector<std::int32_t>& labels, const std::vector<Index>& rows,
                    Cpu& cpu);

}  // namespace genossm
