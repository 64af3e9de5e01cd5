#include "libgenossm/tasks/softmax_loss.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace genossm {
namespace {

constexpr Index kBlock = 1024;  // rows of one task
constexpr Index kStrip = 256;   // rows whose products are added in float
// -ln of the least probability that counts, that of scikit-learn's log_loss.
constexpr double kMostSurprise = 36.04365338911715;

}  // namespace

SoftmaxLoss::SoftmaxLoss(const LinearSpace& space, const std::vector<std::int32_t>& labels,
                         Index classes, Index left_out)
    : space_(&space),
      labels_(&labels),
      classes_(classes),
      logits_(classes == 2 ? 1 : classes),
      class_rows_(static_cast<std::size_t>(classes), 0) {
  const auto add = [&](Index begin, Index end) {
    for (Index at = begin; at < end; at += kBlock) {
      blocks_.push_back({at, std::min(end, at + kBlock), 0, Vector(parameters())});
    }
    for (Index r = begin; r < end; ++r) {
      ++class_rows_[static_cast<std::size_t>(labels[static_cast<std::size_t>(r)])];
    }
    rows_ += end - begin;
  };
  add(0, left_out < 0 ? space.rows() : space.begin(left_out));
  if (left_out >= 0) add(space.begin(left_out + 1), space.rows());
}

Index SoftmaxLoss::present() const {
  return std::count_if(class_rows_.begin(), class_rows_.end(), [](Index n) { return n > 0; });
}

Vector SoftmaxLoss::start() const {
  Vector x = Vector::Zero(parameters());
  const auto log_part = [&](Index c) {
    return std::log(static_cast<double>(class_rows_[static_cast<std::size_t>(c)]) /
                    static_cast<double>(rows_));
  };
  for (Index j = 0; j < logits_; ++j) {
    const double b = logits_ == 1 ? log_part(1) - log_part(0) : log_part(j);
    x[logits_ * dimensions() + j] = std::isfinite(b) ? b : 0;
  }
  return x;
}

SoftmaxLoss::FloatMatrix SoftmaxLoss::weights_of(const Vector& x) const {
  return Eigen::Map<const Matrix>(x.data(), dimensions(), logits_).cast<float>();
}

double SoftmaxLoss::residual(float* row, std::int32_t label, const double* bias) const {
  if (logits_ == 1) {
    const double z = static_cast<double>(row[0]) + bias[0];
    const double signed_z = label == 1 ? z : -z;
    // ln(1 + e^-s), without overflow.
    const double tail = std::exp(-std::abs(z));
    const double p = z >= 0 ? 1 / (1 + tail) : tail / (1 + tail);
    row[0] = static_cast<float>(p - (label == 1 ? 1 : 0));
    return std::log1p(tail) + std::max(-signed_z, 0.0);
  }
  double most = -std::numeric_limits<double>::infinity(), sum = 0;
  for (Index j = 0; j < logits_; ++j) {
    if (class_rows_[static_cast<std::size_t>(j)] > 0) {
      most = std::max(most, static_cast<double>(row[j]) + bias[j]);
    }
  }
  const double own = static_cast<double>(row[label]) + bias[label] - most;
  for (Index j = 0; j < logits_; ++j) {
    const bool fitted = class_rows_[static_cast<std::size_t>(j)] > 0;
    const double e = fitted ? std::exp(static_cast<double>(row[j]) + bias[j] - most) : 0;
    row[j] = static_cast<float>(e);
    sum += e;
  }
  for (Index j = 0; j < logits_; ++j) row[j] = static_cast<float>(row[j] / sum);
  // Not p - 1 in float: of a row that is sure, nothing would be left.
  row[label] = static_cast<float>((std::exp(own) - sum) / sum);
  return std::log(sum) - own;
}

void SoftmaxLoss::evaluate(Block& block, const FloatMatrix& weights, const double* bias) const {
  const Index m = dimensions();
  block.loss = 0;
  block.gradient.setZero();
  Eigen::Map<Matrix> by_weight(block.gradient.data(), m, logits_);
  RowMatrix rows(kStrip, logits_);
  FloatMatrix products(m, logits_);
  for (Index at = block.begin; at < block.end; at += kStrip) {
    const Index count = std::min(kStrip, block.end - at);
    const auto z = space_->z().middleRows(at, count);
    auto residuals = rows.topRows(count);
    residuals.noalias() = z * weights;
    for (Index r = 0; r < count; ++r) {
      float* row = rows.row(r).data();
      block.loss += residual(row, (*labels_)[static_cast<std::size_t>(at + r)], bias);
      for (Index j = 0; j < logits_; ++j) {
        block.gradient[logits_ * m + j] += static_cast<double>(row[j]);
      }
    }
    products.noalias() = z.transpose() * residuals;
    by_weight += products.cast<double>();
  }
}

double SoftmaxLoss::evaluate(const Vector& x, double l2, Vector& gradient, Cpu& cpu) {
  const FloatMatrix weights = weights_of(x);
  const Index n = logits_ * dimensions();
  const double* bias = x.data() + n;
  cpu.for_each(static_cast<Index>(blocks_.size()),
               [&](Index b) { evaluate(blocks_[static_cast<std::size_t>(b)], weights, bias); });
  double loss = 0;
  gradient.setZero(parameters());
  for (const Block& block : blocks_) {
    loss += block.loss;
    gradient += block.gradient;
  }
  gradient.head(n) += l2 * x.head(n);
  return loss + 0.5 * l2 * x.head(n).squaredNorm();
}

template <class See>
void SoftmaxLoss::each_row(const Vector& x, Index begin, Index end, const See& see) const {
  const FloatMatrix weights = weights_of(x);
  const double* bias = x.data() + logits_ * dimensions();
  RowMatrix logits(kStrip, logits_);
  for (Index at = begin; at < end; at += kStrip) {
    const Index count = std::min(kStrip, end - at);
    logits.topRows(count).noalias() = space_->z().middleRows(at, count) * weights;
    for (Index r = 0; r < count; ++r) {
      float* row = logits.row(r).data();
      const double loss = residual(row, (*labels_)[static_cast<std::size_t>(at + r)], bias);
      see(at + r, loss, row);
    }
  }
}

double SoftmaxLoss::loss_of(const Vector& x, Index begin, Index end, Index& counted) const {
  double sum = 0;
  each_row(x, begin, end, [&](Index r, double loss, const float*) {
    const std::int32_t label = (*labels_)[static_cast<std::size_t>(r)];
    if (class_rows_[static_cast<std::size_t>(label)] == 0) return;
    sum += std::min(loss, kMostSurprise);
    ++counted;
  });
  return sum;
}

double SoftmaxLoss::curvature(const Vector& x) const {
  double sum = 0;
  const auto see = [&](Index, double, const float* residuals) {
    for (Index j = 0; j < logits_; ++j) {
      // A residual is p, or p - 1 of the row's own class: the product is the same.
      const double miss = std::abs(static_cast<double>(residuals[j]));
      sum += miss * (1 - miss);
    }
  };
  for (const Block& block : blocks_) each_row(x, block.begin, block.end, see);
  return sum / static_cast<double>(rows_ * (logits_ == 1 ? 1 : present()));
}

double SoftmaxLoss::training_loss(const Vector& x) const {
  double loss = 0;
  Index counted = 0;
  for (const Block& block : blocks_) loss += loss_of(x, block.begin, block.end, counted);
  return loss / static_cast<double>(counted);
}

}  // namespace genossm
