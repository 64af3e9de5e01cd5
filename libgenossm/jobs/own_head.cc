#include "libgenossm/jobs/own_head.h"

#include <algorithm>
#include <cmath>

namespace genossm {

OwnHead::OwnHead(const OpenedModel& model, const OwnHeadOptions& options)
    : weight_(model.model.classifier().view2()) {
  const Card& card = model.model.card();
  if (!model.model.classifier().present()) {
    fail(Fault::checkpoint, model.name +
                                " has no classification head of its own. Give one by --head, or "
                                "train one with genossm train-head");
  }
  if (model.model.classifier_bias().present()) bias_ = model.model.classifier_bias().view1();
  const ClassifierPool rule = model.model.classifier_pool();
  PoolParts pool = options.pool;
  if (rule != ClassifierPool::chosen) {
    const PoolPart part{rule == ClassifierPool::last ? PoolPart::Kind::last : PoolPart::Kind::mean};
    if (!pool.empty() || options.conjoin) {
      fail(Fault::usage, std::string(pool.empty() ? "--conjoin" : "--pool") + ": the head of " +
                             model.name + " was made for " + pool_text({part}) +
                             " over one strand, and for nothing else");
    }
    pool = {part};
  } else if (pool.empty()) {
    pool = {PoolPart{}};
  }
  const bool plain = rule != ClassifierPool::chosen ||
                     (pool.size() == 1 && (pool[0].kind == PoolPart::Kind::mean ||
                                           pool[0].kind == PoolPart::Kind::max));
  if (!plain) {
    fail(Fault::usage,
         "--pool '" + pool_text(pool) + "': published classification heads pool by mean or max");
  }
  recipe_.pool = pool;
  both_ = card.strands || options.conjoin;
  turned_ = card.strands;
  recipe_.strand = both_ ? StrandMode::both : StrandMode::forward;
  recipe_.special_tokens = options.special_tokens;
  recipe_.special_rows = true;
  recipe_.window = card.two_way || card.longest > 0 ? model.context : 0;
  if (outputs() == 1 || model.problem == "regression") kind_ = Kind::value;
  if (model.problem == "multi_label_classification") kind_ = Kind::labels;
}

void OwnHead::logits(const float* row, double* out) const {
  const Index D = weight_.extent[1];
  for (Index k = 0; k < outputs(); ++k) {
    const float* w = weight_.row(k);
    double one = 0, two = 0;
    for (Index c = 0; c < D; ++c) one += static_cast<double>(w[c]) * row[c];
    for (Index c = 0; both_ && c < D; ++c) {
      two += static_cast<double>(w[c]) * row[D + (turned_ ? D - 1 - c : c)];
    }
    out[k] = (both_ ? (one + two) / 2 : one) + (bias_.empty() ? 0.0 : bias_.data[k]);
  }
}

void OwnHead::normalise(double* values) const {
  const Index n = outputs();
  if (kind_ == Kind::labels) {
    for (Index k = 0; k < n; ++k) values[k] = 1 / (1 + std::exp(-values[k]));
  }
  if (kind_ != Kind::classes) return;
  const double largest = *std::max_element(values, values + n);
  double sum = 0;
  for (Index k = 0; k < n; ++k) sum += values[k] = std::exp(values[k] - largest);
  for (Index k = 0; k < n; ++k) values[k] /= sum;
}

}  // namespace genossm
