// The values that a pickle describes: plain records in flat arrays. Private to the pickle machine
// (torch_pickle.cc) and to what looks at its result (state_dict.cc).
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "libgenossm/base/checked.h"
#include "libgenossm/checkpoint/torch_globals.h"
#include "libgenossm/checkpoint/torch_pickle.h"

namespace genossm {

using ValueId = std::uint32_t;
inline constexpr std::uint32_t kNoValue = std::numeric_limits<std::uint32_t>::max();

struct PickleValue {
  enum class Kind : std::uint8_t {
    none,
    flag,     // number
    integer,  // number
    other,    // a float, an integer of more than 64 bits, a set: never looked at
    bytes,    // pickle bytes [first, first + count); number 1: a text whose letters are the bytes
    file,     // a BytesIO, once it is set the same as bytes; before, count is 0
    text,     // pickle bytes [first, first + count)
    list,     // items
    tuple,    // items
    dict,     // items: key, value, key, value ...
    global,   // what, dtype
    storage,  // number: index into PickleValues::storages
    tensor,   // number: index into PickleValues::tensors
    opaque,   // an object of a class that is not known here
  };
  Kind kind = Kind::none;
  bool ordered = false;  // a dict: made by OrderedDict, whose attributes may be set by BUILD
  TorchName name{TorchGlobal::opaque};
  std::uint32_t first = kNoValue, last = kNoValue;  // first and last piece in PickleValues::pool
  std::uint32_t count = 0;
  std::int64_t number = 0;
};

// What BINPERSID refers to: a typed run of elements at the start of an archive member.
struct StorageUse {
  std::size_t storage = 0;
  DType dtype = DType::f32;
  bool untyped = false;
  Index elements = 0;
};

struct PickleValues {
  Bytes pickle;
  std::vector<PickleValue> values;
  // Items of lists, tuples and dicts, in pieces: next piece, number of items, items. Appending adds
  // a piece; nothing moves.
  std::vector<std::uint32_t> pool;
  std::vector<StorageUse> storages;
  std::vector<TorchTensor> tensors;  // without names
  std::vector<std::string> opaque_names;

  std::string_view text(const PickleValue& value) const {
    return {reinterpret_cast<const char*>(pickle.data()) + value.first, value.count};
  }

  // Calls visit(id) for each item in order.
  template <class Visit>
  void for_items(const PickleValue& value, Visit visit) const {
    for (std::uint32_t piece = value.first; piece != kNoValue; piece = pool[piece]) {
      for (std::uint32_t i = 0; i < pool[piece + 1]; ++i) visit(pool[piece + 2 + i]);
    }
  }
};

// The dictionary of tensors within the value `root`, and what was passed over.
StateDict find_state_dict(const PickleValues& values, ValueId root, const std::string& origin);

}  // namespace genossm
