// The penalised log-loss of multinomial logistic regression, on the rows of all folds but one.
// Private to the fitting of heads.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/core/cpu.h"
#include "libgenossm/tasks/linear_space.h"

namespace genossm {

// Parameters: the weights of each logit, [logits, dimensions] row-major, then the biases. Two
// classes have one logit, that of class 1 over class 0; otherwise every class has its own. A class
// without a training row has probability 0 and is not fitted.
class SoftmaxLoss {
 public:
  // labels: one a row of the space, in its order. left_out: a fold, or -1. The space must outlive
  // this.
  SoftmaxLoss(const LinearSpace& space, const std::vector<std::int32_t>& labels, Index classes,
              Index left_out);

  Index rows() const { return rows_; }  // of the training part
  Index logits() const { return logits_; }
  Index dimensions() const { return space_->dimensions(); }
  Index parameters() const { return logits_ * (dimensions() + 1); }
  Index present() const;  // classes with a training row
  // Weights 0, biases by the classes' parts of the training rows.
  Vector start() const;
  // Mean over training rows and classes present of p (1 - p): how strongly the loss curves at x.
  double curvature(const Vector& x) const;

  // sum -ln p(label) + l2/2 |weights|^2 and its gradient. Products in float, sums over more than
  // 256 rows in double. One call at a time.
  double evaluate(const Vector& x, double l2, Vector& gradient, Cpu& cpu);
  // sum -ln p(label) over rows [begin, end) whose class has a training row; adds their number to
  // `counted`. p is no less than 2.2e-16.
  double loss_of(const Vector& x, Index begin, Index end, Index& counted) const;
  double training_loss(const Vector& x) const;  // mean

 private:
  using FloatMatrix = Eigen::MatrixXf;
  struct Block {
    Index begin, end;
    double loss = 0;
    Vector gradient;
  };

  // -ln p(label) of one row; its logits (without bias) become the residual p - y.
  double residual(float* row, std::int32_t label, const double* bias) const;
  void evaluate(Block& block, const FloatMatrix& weights, const double* bias) const;
  FloatMatrix weights_of(const Vector& x) const;
  // see(r, loss of row r, residuals of row r) for rows [begin, end), in order.
  template <class See>
  void each_row(const Vector& x, Index begin, Index end, const See& see) const;

  const LinearSpace* space_;
  const std::vector<std::int32_t>* labels_;
  Index classes_, logits_, rows_ = 0;
  std::vector<Index> class_rows_;
  std::vector<Block> blocks_;
};

}  // namespace genossm
