// Loader: the Binder that fills weights from a checkpoint and accounts for every tensor of it.
#pragma once

#include <string>
#include <vector>

#include "libgenossm/checkpoint/binder.h"
#include "libgenossm/checkpoint/checkpoint.h"

namespace genossm {

class Loader : public Binder {
 public:
  // With a prefix, the tensor "model.x" of the file answers to "x" where prefix is "model.";
  // tensors without it are left over. The checkpoint must outlive the loader.
  // Without `values` no weight is read: names, shapes and types are accounted for all the same.
  explicit Loader(const Checkpoint& checkpoint, std::string prefix = "", bool values = true);

  // A missing or misshapen tensor is noted for finish() and leaves the target empty: nothing is
  // allocated before the shape is known to be the one wanted.
  void bind(Tensor& target, const std::string& name, const std::vector<Index>& shape,
            Presence presence = Presence::required) override;
  void bind_matrix(Tensor& target, const std::string& name,
                   const std::vector<Index>& shape) override;
  void ignore(const std::string& name, const std::vector<Index>& shape) override;
  std::vector<float> nested(const std::string& name, const std::string& tensor) override;
  bool has(const std::string& name) const override;
  std::optional<std::vector<Index>> shape_of(const std::string& name) const override;
  std::optional<std::vector<std::int64_t>> integers(const std::string& name) override;

  // Throws Error{Fault::checkpoint} with one sentence that names all tensors missing, of another
  // shape, of another type, and left over.
  void finish() const;

 private:
  std::optional<std::size_t> find(const std::string& name) const;
  void fill(Tensor& target, std::size_t index, const std::vector<Index>& shape);
  bool accept(const std::string& name, const std::vector<Index>& shape, Presence presence,
              std::size_t& index);

  const Checkpoint& checkpoint_;
  std::string prefix_;
  bool values_;
  std::vector<bool> asked_;  // one a tensor of the checkpoint
  std::vector<std::string> missing_, misshapen_, mistyped_;
};

}  // namespace genossm
