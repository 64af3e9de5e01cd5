#include "libgenossm/checkpoint/torch_pickle.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "kernels/core/error.h"
#include "libgenossm/base/text.h"
#include "libgenossm/checkpoint/pickle_values.h"
#include "libgenossm/checkpoint/tensor_info.h"

namespace genossm {
namespace {

using Kind = PickleValue::Kind;

// Together they keep the machine under some 80 MB whatever the file says.
constexpr std::size_t kMaxPickle = std::size_t{32} << 20;
constexpr std::size_t kMaxValues = 1 << 20;
constexpr std::size_t kMaxPool = 1 << 22;
constexpr std::size_t kMaxMarks = 1000;
constexpr std::size_t kMaxTensors = 1 << 17;
constexpr std::size_t kMaxOpaqueNames = 256;

class Machine {
 public:
  Machine(Bytes pickle, const std::vector<TorchStorage>& storages, const std::string& origin)
      : storages_(storages), origin_(origin), used_(storages.size(), kNoValue) {
    out_.pickle = pickle;
  }

  // Returns the value on the stack at STOP.
  ValueId run() {
    if (out_.pickle.size() > kMaxPickle) {
      stop(std::to_string(out_.pickle.size()) + " bytes of pickle, want at most " +
           std::to_string(kMaxPickle));
    }
    if (number<std::uint8_t>() != 0x80)
      stop("does not begin with PROTO: protocol 0 or 1, or no pickle");
    if (const unsigned protocol = number<std::uint8_t>(); protocol < 2 || protocol > 5) {
      stop("pickle protocol " + std::to_string(protocol) + ", want 2 to 5");
    }
    for (;;) {
      op_at_ = at_;
      const auto op = number<std::uint8_t>();
      if (op == '.') break;
      if (!run_constant(op) && !run_container(op) && !run_stack(op) && !run_object(op)) {
        stop("opcode " + std::to_string(op) + ", which no PyTorch checkpoint needs");
      }
    }
    if (stack_.size() != 1 || !marks_.empty()) stop("STOP leaves no single value");
    return stack_.back();
  }

  PickleValues take() { return std::move(out_); }

 private:
  // Opcodes that push a plain value.
  bool run_constant(std::uint8_t op) {
    switch (op) {
      case 'N':
        push({.kind = Kind::none});
        return true;
      case 0x88:
      case 0x89:
        push({.kind = Kind::flag, .number = op == 0x88 ? 1 : 0});
        return true;
      case 'K':
        push_integer(number<std::uint8_t>());
        return true;
      case 'M':
        push_integer(number<std::uint16_t>());
        return true;
      case 'J':
        push_integer(number<std::int32_t>());
        return true;
      case 0x8a:
        push_long(number<std::uint8_t>());
        return true;
      case 0x8b: {
        const auto length = number<std::int32_t>();
        if (length < 0) stop("an integer of negative length");
        push_long(static_cast<std::uint32_t>(length));
        return true;
      }
      case 'G':
        skip(8);
        push({.kind = Kind::other});
        return true;
      case 'U':
      case 0x8c:
        push_text(number<std::uint8_t>());
        return true;
      case 'T':
      case 'X':
        push_text(number<std::uint32_t>());
        return true;
      case 0x8d:
        push_text(number<std::uint64_t>());
        return true;
      case 'C':
        push_bytes(number<std::uint8_t>());
        return true;
      case 'B':
        push_bytes(number<std::uint32_t>());
        return true;
      case 0x8e:
      case 0x96:
        push_bytes(number<std::uint64_t>());
        return true;
      default:
        return false;
    }
  }

  // Opcodes that make or fill lists, tuples, dictionaries and sets.
  bool run_container(std::uint8_t op) {
    switch (op) {
      case ')':
        push({.kind = Kind::tuple});
        return true;
      case ']':
        push({.kind = Kind::list});
        return true;
      case '}':
        push({.kind = Kind::dict});
        return true;
      case 0x8f:  // EMPTY_SET
        push({.kind = Kind::other});
        return true;
      case 0x85:
      case 0x86:
      case 0x87:
        push_tuple(op - std::size_t{0x84});
        return true;
      case 't':
        push_tuple(pop_mark());
        return true;
      case 'a':
        append(1, Kind::list, "APPEND");
        return true;
      case 'e':
        append(pop_mark(), Kind::list, "APPENDS");
        return true;
      case 's':
        append(2, Kind::dict, "SETITEM");
        return true;
      case 'u':
        append(pop_mark(), Kind::dict, "SETITEMS");
        return true;
      case 0x90:  // ADDITEMS
        append(pop_mark(), Kind::other, "ADDITEMS");
        return true;
      case 0x91:  // FROZENSET
        drop(pop_mark());
        push({.kind = Kind::other});
        return true;
      default:
        return false;
    }
  }

  // Opcodes that move values between the stack and the memo.
  bool run_stack(std::uint8_t op) {
    switch (op) {
      case '(':
        if (marks_.size() == kMaxMarks)
          stop("more than " + std::to_string(kMaxMarks) + " open marks");
        marks_.push_back(stack_.size());
        return true;
      case '0':
        drop(1);
        return true;
      case '1':
        drop(pop_mark());
        return true;
      case '2':
        push_id(top());
        return true;
      case 'q':
        memoize(number<std::uint8_t>());
        return true;
      case 'r':
        memoize(number<std::uint32_t>());
        return true;
      case 0x94:
        memoize(memo_count_);
        return true;
      case 'h':
        recall(number<std::uint8_t>());
        return true;
      case 'j':
        recall(number<std::uint32_t>());
        return true;
      case 0x95: {  // FRAME: only a hint for readers of streams
        const auto length = number<std::uint64_t>();
        if (length > out_.pickle.size() - at_) stop("a frame longer than the pickle");
        return true;
      }
      default:
        return false;
    }
  }

  // Opcodes that would make objects.
  bool run_object(std::uint8_t op) {
    switch (op) {
      case 'c': {
        const std::string_view module = line();
        const std::string_view name = line();
        push_global(module, name);
        return true;
      }
      case 0x93: {  // STACK_GLOBAL
        const std::string_view name = text_of(pop(), "a name");
        const std::string_view module = text_of(pop(), "a name");
        push_global(module, name);
        return true;
      }
      case 'Q':
        push_storage(pop());
        return true;
      case 'R': {
        const ValueId arguments = pop();
        reduce(pop(), arguments);
        return true;
      }
      case 0x81: {  // NEWOBJ
        const ValueId arguments = pop();
        make_object(pop(), arguments, "NEWOBJ");
        return true;
      }
      case 0x92: {  // NEWOBJ_EX
        if (at(pop()).kind != Kind::dict) stop("NEWOBJ_EX without keyword arguments");
        const ValueId arguments = pop();
        make_object(pop(), arguments, "NEWOBJ_EX");
        return true;
      }
      case 'b': {
        const ValueId state = pop();
        PickleValue& target = out_.values[top()];
        if (target.kind == Kind::file) {
          fill_file(target, state);
          return true;
        }
        if (target.kind != Kind::opaque && !(target.kind == Kind::dict && target.ordered)) {
          stop("refused: BUILD on a value that has no state");
        }
        return true;
      }
      default:
        return false;
    }
  }

  // ---- reading the program

  template <class T>
  T number() {
    const auto value = load_little<T>(out_.pickle, at_);
    if (!value) stop("the pickle ends before STOP");
    at_ += sizeof(T);
    return *value;
  }

  void skip(std::uint64_t length) {
    if (!within(at_, length, out_.pickle.size())) {
      stop("a value of " + std::to_string(length) + " bytes, longer than the pickle");
    }
    at_ += length;
  }

  // The argument of GLOBAL: up to the next end of line.
  std::string_view line() {
    const auto begin = out_.pickle.begin() + static_cast<std::ptrdiff_t>(at_);
    const auto end = std::find(begin, out_.pickle.end(), std::byte{'\n'});
    if (end == out_.pickle.end()) stop("a name without its end of line");
    const auto length = static_cast<std::size_t>(end - begin);
    const std::string_view text(reinterpret_cast<const char*>(out_.pickle.data()) + at_, length);
    at_ += length + 1;
    return text;
  }

  [[noreturn]] void stop(const std::string& what) const {
    fail(Fault::checkpoint, origin_ + ": data.pkl, byte " + std::to_string(op_at_) + ": " + what);
  }

  // ---- values and the stack

  const PickleValue& at(ValueId id) const { return out_.values[id]; }

  ValueId make(PickleValue value) {
    if (out_.values.size() == kMaxValues)
      stop("more than " + std::to_string(kMaxValues) + " values");
    out_.values.push_back(value);
    return static_cast<ValueId>(out_.values.size() - 1);
  }
  void push(PickleValue value) { push_id(make(value)); }
  void push_id(ValueId id) {
    if (stack_.size() == kMaxValues) stop("a stack of more than " + std::to_string(kMaxValues));
    stack_.push_back(id);
  }
  void push_integer(std::int64_t value) { push({.kind = Kind::integer, .number = value}); }

  void push_long(std::uint64_t length) {
    const std::uint64_t begin = at_;
    skip(length);
    if (length > 8) return push({.kind = Kind::other});
    std::uint64_t bits = 0;
    for (std::uint64_t i = 0; i < length; ++i) {
      bits |= std::to_integer<std::uint64_t>(out_.pickle[begin + i]) << (8 * i);
    }
    // Two's complement: the last bit that is there is the sign.
    if (length > 0 && length < 8 && (bits >> (8 * length - 1)) != 0)
      bits |= ~std::uint64_t{0} << (8 * length);
    push_integer(static_cast<std::int64_t>(bits));
  }

  void push_text(std::uint64_t length) {
    const auto begin = static_cast<std::uint32_t>(at_);
    skip(length);
    push({.kind = Kind::text, .first = begin, .count = static_cast<std::uint32_t>(length)});
  }
  void push_bytes(std::uint64_t length) {
    const auto begin = static_cast<std::uint32_t>(at_);
    skip(length);
    push({.kind = Kind::bytes, .first = begin, .count = static_cast<std::uint32_t>(length)});
  }

  // Values above the last mark: only these may be popped.
  std::size_t available() const { return stack_.size() - (marks_.empty() ? 0 : marks_.back()); }
  void need(std::size_t count) const {
    if (available() < count) stop("takes a value from an empty stack");
  }
  ValueId top() const {
    need(1);
    return stack_.back();
  }
  ValueId pop() {
    const ValueId id = top();
    stack_.pop_back();
    return id;
  }
  void drop(std::size_t count) {
    need(count);
    stack_.resize(stack_.size() - count);
  }
  // Takes the last mark away; returns the number of values above it.
  std::size_t pop_mark() {
    if (marks_.empty()) stop("wants a mark that was never set");
    const std::size_t count = stack_.size() - marks_.back();
    marks_.pop_back();
    return count;
  }

  void memoize(std::size_t slot) {
    const ValueId id = top();
    if (slot >= kMaxValues)
      stop("memo slot " + std::to_string(slot) + ", want fewer than " + std::to_string(kMaxValues));
    if (slot >= memo_.size()) memo_.resize(slot + 1, kNoValue);
    if (memo_[slot] == kNoValue) ++memo_count_;
    memo_[slot] = id;
  }
  void recall(std::size_t slot) {
    if (slot >= memo_.size() || memo_[slot] == kNoValue) {
      stop("memo slot " + std::to_string(slot) + " was never set");
    }
    push_id(memo_[slot]);
  }

  // ---- containers

  // Moves the top `count` values into a new piece of `container`.
  void add_piece(PickleValue& container, std::size_t count) {
    need(count);
    if (count == 0) return;
    if (out_.pool.size() + count + 2 > kMaxPool) stop("containers with too many items");
    const auto piece = static_cast<std::uint32_t>(out_.pool.size());
    out_.pool.push_back(kNoValue);
    out_.pool.push_back(static_cast<std::uint32_t>(count));
    out_.pool.insert(out_.pool.end(), stack_.end() - static_cast<std::ptrdiff_t>(count),
                     stack_.end());
    stack_.resize(stack_.size() - count);
    if (container.last == kNoValue) {
      container.first = piece;
    } else {
      out_.pool[container.last] = piece;
    }
    container.last = piece;
    container.count += static_cast<std::uint32_t>(count);
  }

  void push_tuple(std::size_t count) {
    PickleValue tuple{.kind = Kind::tuple};
    add_piece(tuple, count);
    push(tuple);
  }

  void append(std::size_t count, Kind wanted, std::string_view op) {
    if (wanted == Kind::dict && count % 2 != 0) stop("a key without a value");
    need(count + 1);
    PickleValue& target = out_.values[stack_[stack_.size() - count - 1]];
    if (target.kind == wanted && wanted != Kind::other) {
      add_piece(target, count);
    } else if (target.kind == Kind::opaque || target.kind == wanted) {
      drop(count);  // the contents of what is never looked at
    } else {
      stop("refused: " + std::string(op) + " on a value of another kind");
    }
  }

  // ---- what stands for Python objects

  void push_global(std::string_view module, std::string_view name) {
    const auto meaning = find_torch_global(module, name);
    if (!meaning) {
      stop("refused: the file names " + shown(std::string(module) + '.' + std::string(name)) +
           ", which a checkpoint of tensors has no need of");
    }
    PickleValue value{.kind = Kind::global, .name = *meaning};
    if (meaning->what == TorchGlobal::opaque) {
      value.number = opaque_name(std::string(module) + '.' + std::string(name));
    }
    push(value);
  }

  std::int64_t opaque_name(std::string name) {
    auto& names = opaque_;
    const auto found = std::find(names.begin(), names.end(), name);
    if (found != names.end()) return found - names.begin();
    if (names.size() == kMaxOpaqueNames || name.size() > 512)
      stop("refused: too many or too long names of classes");
    names.push_back(std::move(name));
    return static_cast<std::int64_t>(names.size() - 1);
  }

  const PickleValue& global(ValueId id, std::string_view op) const {
    const PickleValue& value = at(id);
    if (value.kind != Kind::global)
      stop("refused: " + std::string(op) + " of a value that is no known name");
    return value;
  }

  std::string_view text_of(ValueId id, std::string_view what) const {
    if (at(id).kind != Kind::text) stop("want " + std::string(what) + " as text");
    return out_.text(at(id));
  }

  // The items of a tuple of known length.
  template <std::size_t Most>
  std::size_t items_of(ValueId id, std::array<ValueId, Most>& items, std::string_view what) const {
    const PickleValue& tuple = at(id);
    if (tuple.kind != Kind::tuple || tuple.count > Most)
      stop("not the arguments of " + std::string(what));
    std::size_t count = 0;
    out_.for_items(tuple, [&](ValueId item) { items[count++] = item; });
    return count;
  }

  void make_object(ValueId callee, ValueId arguments, std::string_view op) {
    const PickleValue& name = global(callee, op);
    if (at(arguments).kind != Kind::tuple) stop(std::string(op) + " without a tuple of arguments");
    switch (name.name.what) {
      case TorchGlobal::opaque: {
        const std::string& text = opaque_[static_cast<std::size_t>(name.number)];
        auto& used = out_.opaque_names;
        if (std::find(used.begin(), used.end(), text) == used.end()) used.push_back(text);
        return push({.kind = Kind::opaque});
      }
      case TorchGlobal::quiet:
      case TorchGlobal::encode:
        return push({.kind = Kind::opaque});
      case TorchGlobal::bytes_io:
        return push({.kind = Kind::file});
      case TorchGlobal::ordered_dict:
        if (at(arguments).count != 0)
          stop("refused: " + std::string(op) + " of OrderedDict with arguments");
        return push({.kind = Kind::dict, .ordered = true});
      case TorchGlobal::default_dict:
        // The factory of missing values is a name, never called.
        return push({.kind = Kind::dict, .ordered = true});
      default:
        stop("refused: " + std::string(op) + " of a name that makes no object");
    }
  }

  void reduce(ValueId callee, ValueId arguments) {
    const TorchGlobal what = global(callee, "REDUCE").name.what;
    switch (what) {
      case TorchGlobal::rebuild_tensor:
        return rebuild_tensor(arguments, false);
      case TorchGlobal::rebuild_tensor_v3:
        return rebuild_tensor(arguments, true);
      case TorchGlobal::rebuild_parameter: {
        // (tensor, requires_grad, hooks)
        std::array<ValueId, 3> items{};
        if (items_of(arguments, items, "_rebuild_parameter") != 3 ||
            at(items[0]).kind != Kind::tensor) {
          stop("refused: _rebuild_parameter of what is no tensor");
        }
        return push_id(items[0]);
      }
      case TorchGlobal::size: {
        std::array<ValueId, 1> items{};
        if (items_of(arguments, items, "torch.Size") != 1 || at(items[0]).kind != Kind::tuple) {
          stop("refused: torch.Size of what is no tuple");
        }
        return push_id(items[0]);
      }
      case TorchGlobal::encode: {
        std::array<ValueId, 2> items{};
        if (at(arguments).kind == Kind::tuple && at(arguments).count == 2 &&
            items_of(arguments, items, "encode") == 2 && at(items[0]).kind == Kind::text &&
            at(items[1]).kind == Kind::text && out_.text(at(items[1])) == "latin1") {
          PickleValue bytes = at(items[0]);
          bytes.kind = Kind::bytes;
          bytes.number = 1;
          return push(bytes);
        }
        return make_object(callee, arguments, "REDUCE");
      }
      case TorchGlobal::ordered_dict:
        if (at(arguments).kind == Kind::tuple && at(arguments).count == 1)
          return dict_of_pairs(arguments);
        return make_object(callee, arguments, "REDUCE");
      default:
        return make_object(callee, arguments, "REDUCE");
    }
  }

  // The state of a BytesIO: (bytes, position, attributes). No bytes are written as another object,
  // and leave it as it is.
  void fill_file(PickleValue& file, ValueId state) {
    std::array<ValueId, 3> items{};
    if (items_of(state, items, "BytesIO") != 3) stop("refused: not the state of a BytesIO");
    if (at(items[0]).kind != Kind::bytes) return;
    file = at(items[0]);
    file.kind = Kind::file;
  }

  // OrderedDict([(key, value), ...]): the form of protocol 2 writers of old Pythons.
  void dict_of_pairs(ValueId arguments) {
    std::array<ValueId, 1> items{};
    items_of(arguments, items, "OrderedDict");
    if (at(items[0]).kind != Kind::list) stop("refused: OrderedDict of what is no list of pairs");
    PickleValue dict{.kind = Kind::dict, .ordered = true};
    // add_piece takes from the stack, so the keys and values go there first.
    std::size_t count = 0;
    out_.for_items(at(items[0]), [&](ValueId pair) {
      const PickleValue& value = at(pair);
      if ((value.kind != Kind::tuple && value.kind != Kind::list) || value.count != 2) {
        stop("refused: OrderedDict of what is no list of pairs");
      }
      out_.for_items(value, [&](ValueId item) { push_id(item); });
      count += 2;
    });
    add_piece(dict, count);
    push(dict);
  }

  // The persistent id ('storage', type, key, location, number of elements).
  void push_storage(ValueId id) {
    std::array<ValueId, 5> items{};
    if (items_of(id, items, "a storage") != 5 || at(items[0]).kind != Kind::text ||
        out_.text(at(items[0])) != "storage") {
      stop("refused: a persistent id that is no storage");
    }
    const PickleValue& type = at(items[1]);
    if (type.kind != Kind::global || (type.name.what != TorchGlobal::storage &&
                                      type.name.what != TorchGlobal::untyped_storage)) {
      stop("refused: a storage of an unknown type");
    }
    const std::string_view key = text_of(items[2], "the key of a storage");
    const auto found = std::lower_bound(
        storages_.begin(), storages_.end(), key,
        [](const TorchStorage& storage, std::string_view wanted) { return storage.key < wanted; });
    if (found == storages_.end() || found->key != key) {
      stop("refused: the storage \"" + shown(key) + "\" is no member of the archive");
    }
    text_of(items[3], "the location of a storage");
    const Index elements = integer_of(items[4], "the number of elements");
    const auto bytes = checked_mul(static_cast<std::uint64_t>(elements),
                                   static_cast<std::uint64_t>(size_of(type.name.dtype)));
    if (!bytes || *bytes > found->size) {
      stop("refused: " + std::to_string(elements) + " elements of " +
           std::string(name_of(type.name.dtype)) + " in the storage \"" + shown(key) + "\" of " +
           std::to_string(found->size) + " bytes");
    }
    const auto storage = static_cast<std::size_t>(found - storages_.begin());
    const bool untyped = type.name.what == TorchGlobal::untyped_storage;
    std::uint32_t& use = used_[storage];
    if (use == kNoValue) {
      use = static_cast<std::uint32_t>(out_.storages.size());
      out_.storages.push_back({storage, type.name.dtype, untyped, elements});
    } else if (const StorageUse& before = out_.storages[use]; before.dtype != type.name.dtype ||
                                                              before.elements != elements ||
                                                              before.untyped != untyped) {
      stop("refused: the storage \"" + shown(key) + "\" is said to be of two kinds");
    }
    push({.kind = Kind::storage, .number = use});
  }

  Index integer_of(ValueId id, std::string_view what) const {
    const PickleValue& value = at(id);
    if (value.kind != Kind::integer || value.number < 0) {
      stop("refused: " + std::string(what) + " is " +
           (value.kind == Kind::integer ? std::to_string(value.number) : "no integer") +
           ", want 0 or more");
    }
    return value.number;
  }

  std::vector<Index> integers_of(ValueId id, std::string_view what) const {
    const PickleValue& value = at(id);
    if (value.kind != Kind::tuple && value.kind != Kind::list)
      stop("refused: " + std::string(what) + " is no tuple");
    if (value.count > kMaxRank)
      stop("refused: a tensor of " + std::to_string(value.count) + " dimensions");
    std::vector<Index> numbers;
    out_.for_items(value, [&](ValueId item) { numbers.push_back(integer_of(item, what)); });
    return numbers;
  }

  // _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks[, metadata]), and v3
  // with the dtype before the metadata.
  void rebuild_tensor(ValueId arguments, bool v3) {
    std::array<ValueId, 8> items{};
    const std::size_t fixed = v3 ? 7 : 6;
    const std::size_t count = items_of(arguments, items, "_rebuild_tensor");
    if (count != fixed && count != fixed + 1) stop("not the arguments of _rebuild_tensor");
    if (at(items[0]).kind != Kind::storage) stop("refused: a tensor over what is no storage");
    const StorageUse& use = out_.storages[static_cast<std::size_t>(at(items[0]).number)];
    TorchTensor tensor;
    tensor.storage = use.storage;
    tensor.dtype = use.dtype;
    Index room = use.elements;
    if (v3) {
      const PickleValue& type = at(items[6]);
      if (!use.untyped || type.kind != Kind::global || type.name.what != TorchGlobal::dtype) {
        stop("refused: a tensor of an unknown type");
      }
      tensor.dtype = type.name.dtype;
      room = use.elements / size_of(tensor.dtype);
    }
    tensor.offset = integer_of(items[1], "the offset of a tensor");
    tensor.size = integers_of(items[2], "a size");
    tensor.stride = integers_of(items[3], "a stride");
    if (tensor.size.size() != tensor.stride.size()) {
      stop("refused: a tensor with sizes " + shape_text(tensor.size) + " and strides " +
           shape_text(tensor.stride));
    }
    check_extent(tensor, room);
    if (out_.tensors.size() == kMaxTensors)
      stop("more than " + std::to_string(kMaxTensors) + " tensors");
    out_.tensors.push_back(std::move(tensor));
    push({.kind = Kind::tensor, .number = static_cast<std::int64_t>(out_.tensors.size() - 1)});
  }

  // Every element lies within the `room` elements of the storage, and no more elements are claimed
  // than such a storage can reasonably be expanded to.
  void check_extent(const TorchTensor& tensor, Index room) const {
    constexpr std::uint64_t kExpanded = 1 << 24;
    const auto limit = static_cast<std::uint64_t>(room);
    const bool empty = std::find(tensor.size.begin(), tensor.size.end(), 0) != tensor.size.end();
    std::optional<std::uint64_t> elements = 1;
    std::optional<std::uint64_t> last = static_cast<std::uint64_t>(tensor.offset);
    for (std::size_t d = 0; d < tensor.size.size(); ++d) {
      if (tensor.size[d] > 1) {
        const auto step = checked_mul(static_cast<std::uint64_t>(tensor.size[d] - 1),
                                      static_cast<std::uint64_t>(tensor.stride[d]));
        last = last && step ? checked_add(*last, *step) : std::nullopt;
      }
      // Extents of 0 count as 1 here: [0, 2^63, 2] is refused as well.
      elements = elements
                     ? checked_mul(*elements,
                                   static_cast<std::uint64_t>(std::max<Index>(tensor.size[d], 1)))
                     : std::nullopt;
    }
    const bool inside =
        last && (empty ? static_cast<std::uint64_t>(tensor.offset) <= limit : *last < limit);
    if (!elements || *elements > std::max(limit, kExpanded) || !inside) {
      stop("refused: a tensor of sizes " + shape_text(tensor.size) + ", strides " +
           shape_text(tensor.stride) + " and offset " + std::to_string(tensor.offset) +
           " over a storage of " + std::to_string(room) + " elements");
    }
  }

  const std::vector<TorchStorage>& storages_;
  const std::string& origin_;
  PickleValues out_;
  std::uint64_t at_ = 0;     // next byte
  std::uint64_t op_at_ = 0;  // byte of the opcode at work, for messages
  std::vector<ValueId> stack_;
  std::vector<std::size_t> marks_;  // sizes of the stack
  std::vector<ValueId> memo_;
  std::size_t memo_count_ = 0;
  std::vector<std::string> opaque_;  // names of opaque classes, used or not
  std::vector<std::uint32_t> used_;  // one a storage: index into out_.storages
};

}  // namespace

StateDict read_torch_pickle(Bytes pickle, const std::vector<TorchStorage>& storages,
                            const std::string& origin) {
  Machine machine(pickle, storages, origin);
  const ValueId root = machine.run();
  return find_state_dict(machine.take(), root, origin);
}

}  // namespace genossm
