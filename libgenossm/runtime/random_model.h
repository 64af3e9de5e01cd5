// Models with random weights in a published layout, for benchmarks and for tests of laws: the
// family's own list of tensors is walked and filled with values of the sizes that initialisation
// gives.
#pragma once

#include <cstdint>

#include "libgenossm/base/json.h"
#include "libgenossm/model/spec.h"

namespace genossm {

// The same seed gives the same weights everywhere. `jitter` perturbs the decay rates away from
// their exact initial values, as training does.
ModelSpec random_spec(const Json& config, std::uint32_t seed, bool jitter = true);

// The same tensors as zeros, the large matrices as bf16 and of no more memory than one of them; for
// Model::sketch().
ModelSpec sketch_spec(const Json& config);

}  // namespace genossm
