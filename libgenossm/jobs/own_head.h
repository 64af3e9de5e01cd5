// OwnHead: the classification head that a checkpoint brings along
// (CaduceusForSequenceClassification, caduceus.md section 8; HyenaDNA's, hyenadna.md section 4).
#pragma once

#include "libgenossm/jobs/classify.h"

namespace genossm {

class OwnHead {
 public:
  enum class Kind { classes, labels, value };  // softmax; a sigmoid each; a number

  // Throws Fault::checkpoint: the model has none; Fault::usage: pooling other than mean or max, or
  // pooling or strands of a head that has its own rule.
  OwnHead(const OpenedModel& model, const OwnHeadOptions& options);

  const HeadRecipe& recipe() const { return recipe_; }
  Kind kind() const { return kind_; }
  Index outputs() const { return weight_.extent[0]; }

  // A pooled row [D] (or [2D], both strands) -> logits [outputs], added up in double.
  void logits(const float* row, double* out) const;
  // The logits in place of which probabilities stand; numbers stay.
  void normalise(double* values) const;

 private:
  HeadRecipe recipe_;
  Kind kind_ = Kind::classes;
  View<const float, 2> weight_;         // [outputs, D]
  View<const float, 1> bias_;           // [outputs]; empty: none
  bool both_ = false, turned_ = false;  // two strands; the second with its channels reversed
};

}  // namespace genossm
