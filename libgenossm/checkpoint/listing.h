// Listing: the Binder that writes down what a family asks for: `genossm inspect`, and tests that
// make random weights.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "libgenossm/checkpoint/binder.h"

namespace genossm {

class Listing : public Binder {
 public:
  // What is wanted of a tensor: its values, its integers, or only that it may be there.
  enum class Use { weight, integers, ignored };
  struct Entry {
    std::string name;
    std::vector<Index> shape;  // empty for integers of unknown shape
    Presence presence = Presence::required;
    Use use = Use::weight;
  };

  // `existing`: the tensors that has() and shape_of() answer for, with their shapes. No values are
  // known: integers() gives zeros for an existing name.
  explicit Listing(std::map<std::string, std::vector<Index>> existing = {});

  const std::vector<Entry>& entries() const { return entries_; }

  void bind(Tensor& target, const std::string& name, const std::vector<Index>& shape,
            Presence presence = Presence::required) override;
  void ignore(const std::string& name, const std::vector<Index>& shape) override;
  bool has(const std::string& name) const override;
  std::optional<std::vector<Index>> shape_of(const std::string& name) const override;
  std::optional<std::vector<std::int64_t>> integers(const std::string& name) override;

 private:
  std::map<std::string, std::vector<Index>> existing_;
  std::vector<Entry> entries_;
};

}  // namespace genossm
