// What a machine is asked to compute so that it can be seen whether it computes right: every op
// beside its definition in double precision, and a model beside figures that are known of it.
#pragma once

#include <string>
#include <vector>

#include "libgenossm/runtime/open_model.h"

namespace genossm {

struct SelfCheck {
  std::string name;  // "selective_scan"
  double error = 0;  // largest difference over the largest value wanted; infinite where not finite
  double bound = 0;
  bool good() const { return error <= bound; }
};

// Every op on `cpu` beside the Reference, on sizes that are no multiples of a vector or a tile.
std::vector<SelfCheck> check_ops(Cpu& cpu);

// Hidden states of one strand, known from an independent run in float64.
struct ModelFigures {
  std::string weights_sha256;
  std::string sequence;
  double largest = 0;  // value of the whole tensor
  std::vector<Index> positions, channels;
  std::vector<double> values;  // [positions, channels]
  // selftest.json of a bundled model. Fault::checkpoint.
  static ModelFigures read(const std::filesystem::path& file);
};

// The model's own hidden states beside the figures, held to `bound`. Fault::checkpoint where the
// model has no tokenizer or the figures speak of places that it does not have.
SelfCheck check_model(const OpenedModel& model, Device& device, const ModelFigures& figures,
                      double bound);

}  // namespace genossm
