#include "libgenossm/model/model.h"

#include <algorithm>

#include "kernels/embedding/embedding.h"
#include "kernels/long_conv/long_conv.h"
#include "libgenossm/model/strand_swap.h"

namespace genossm {

void check_length(const Card& card, Index tokens) {
  if (card.longest == 0 || tokens <= card.longest) return;
  fail(Fault::usage, "a window of " + std::to_string(tokens) +
                         " tokens is longer than the filters of this model, which reach " +
                         std::to_string(card.longest) +
                         " (special tokens count too). Use a smaller --window");
}

Model Model::make(ModelSpec spec, const Placement& place) {
  Model m;
  Card& card = m.card_;
  card.family = spec.family;
  card.objective = spec.objective;
  card.d_model = spec.d_model;
  card.vocab = spec.vocab;
  card.layers = static_cast<Index>(spec.blocks.size());
  card.two_way = spec.bidirectional();
  card.longest = spec.longest();
  card.strands = spec.strands;
  card.precision = place.precision;
  if (spec.strands && spec.strands_swap) card.strands_exchanged = unswap_strands(spec);

  m.complement_ = spec.complement;
  m.classifier_ = std::move(spec.classifier);
  m.classifier_bias_ = std::move(spec.classifier_bias);
  m.classifier_pool_ = spec.classifier_pool;
  if constexpr (build::has_cuda) {
    if (as_cuda(*place.device) != nullptr) {
      m.cuda_ = CudaModel::make(spec, *place.device, place.precision);
      card.cuda = true;
      card.state_floats = m.cuda_->state_floats();
      for (Index layer = 0; layer < card.layers; ++layer) {
        m.offsets_.push_back(m.cuda_->state_offset(layer));
      }
      card.history_bytes = m.cuda_->new_history().token_bytes();
      card.weight_bytes = m.cuda_->weight_bytes();
      card.cuda_row_bytes = m.cuda_->row_bytes();
      card.cuda_fixed_bytes = m.cuda_->fixed_bytes();
      card.whole = card.longest > 0;
      card.longest = std::min(card.longest, kLongConvCudaLongest);
      return m;
    }
  }
  // Large models are left in their files until a block is made: what all of it will take is known
  // before.
  if (place.memory > 0 && spec.striped()) {
    Placement sketch = place;
    sketch.sketch = true;
    Index bytes = 0;
    for (const BlockSpec& block : spec.blocks) bytes += Block(sketch, block).weight_bytes();
    if (bytes > place.memory) {
      const auto mib = [](Index n) { return std::to_string((n + (1 << 20) - 1) >> 20) + " MiB"; };
      fail(Fault::memory, "not enough memory: the weights alone take " + mib(bytes) +
                              ", free are " + mib(place.memory) +
                              ". Use a smaller model or a machine with more memory");
    }
  }
  m.table_ = copy_of(spec.embedding);
  m.blocks_.reserve(spec.blocks.size());
  Index offset = 0;
  for (BlockSpec& block : spec.blocks) {
    const Block& made = m.blocks_.emplace_back(place, block);
    block = BlockSpec{};  // its float32 copy is not needed any more
    m.offsets_.push_back(offset);
    offset += made.state_size();
    card.history_bytes += made.history_bytes();
    card.kept_columns = std::max(card.kept_columns, made.kept_columns());
    card.whole = card.whole || made.whole();
    card.fixed_floats = std::max(card.fixed_floats, made.fixed_floats());
    card.slab_columns = std::max(card.slab_columns, made.slab_columns());
    card.weight_bytes += made.weight_bytes();
    card.rows_independent = card.rows_independent && made.rows_independent();
  }
  card.state_floats = offset;
  m.final_norm_ = std::make_unique<Block::NormWeights>(spec.final_norm);
  m.head_ = Linear(place, spec.head.present() ? spec.head : spec.embedding, Tensor{});
  card.weight_bytes += m.head_.bytes() + 4 * m.table_.size();
  return m;
}

Model Model::sketch(ModelSpec spec, Precision precision) {
  Device device{Cpu(1)};
  Placement place{&device, precision};
  place.sketch = true;
  return make(std::move(spec), place);
}

History Model::new_history() const {
  if constexpr (build::has_cuda) {
    if (cuda_) return cuda_->new_history();
  }
  std::vector<Index> rows;
  for (const Block& block : blocks_) rows.push_back(block.history_bytes());
  return History(std::move(rows));
}

void Model::embed(Device& device, View<const std::int32_t, 1> tokens, View<float, 2> x) const {
  launch(device,
         Embedding{.tokens = tokens, .table = table_.matrix(card_.vocab, card_.d_model), .y = x});
}

void Model::final_norm(Device& device, View<const float, 2> x, View<float, 2> y) const {
  final_norm_->run(device, x, y);
}

void Model::head(Device& device, View<const float, 2> hidden, View<float, 2> logits) const {
  head_.run(device, hidden, logits);
}

}  // namespace genossm
