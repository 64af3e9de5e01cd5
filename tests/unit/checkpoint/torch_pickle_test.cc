// Rows C10 and C13: pickle programs that a file of weights has no business to hold.
#include "libgenossm/checkpoint/torch_pickle.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <random>

#include "tests/unit/checkpoint/files.h"

namespace genossm {
namespace {

using namespace test;

// Storages "0" of 24 bytes and "1" of 8.
StateDict run(const std::string& pickle) {
  return read_torch_pickle(std::as_bytes(std::span(pickle)), {{"0", 24}, {"1", 8}}, "m.pt");
}

void expect_refused(const std::string& pickle, const std::string& word) {
  const auto start = std::chrono::steady_clock::now();
  const std::string what = refusal([&] { run(pickle); });
  EXPECT_NE(what.find(word), std::string::npos) << what << "\nwanted: " << word;
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
}

std::string floats(const std::string& key = "0", std::int64_t n = 6) {
  return storage("FloatStorage", key, n);
}
std::string matrix() { return tensor(floats(), 0, {2, 3}, {3, 1}); }
// A file whose weights are in order, with something beside them.
std::string beside(const std::string& value) {
  return program(dict({text("state_dict"), dict({text("w"), matrix()}), text("x"), value}));
}

TEST(TorchPickle, TensorsWithTheirViews) {
  const StateDict state = run(program(
      dict({text("w"), matrix(), text("t"), tensor(floats(), 1, {3, 2}, {1, 2}), text("scalar"),
            tensor(floats("1", 2), 1, {}, {}), text("row"), tensor(floats(), 0, {4}, {0}),
            text("empty"), tensor(floats(), 6, {0, 3}, {3, 1})})));
  ASSERT_EQ(state.tensors.size(), 5u);
  EXPECT_EQ(state.tensors[0].name, "w");
  EXPECT_EQ(state.tensors[0].size, (std::vector<Index>{2, 3}));
  EXPECT_EQ(state.tensors[1].stride, (std::vector<Index>{1, 2}));
  EXPECT_EQ(state.tensors[2].storage, 1u);
  EXPECT_EQ(state.tensors[2].offset, 1);
  EXPECT_TRUE(state.tensors[2].size.empty());
  EXPECT_TRUE(state.warnings.empty());
}

TEST(TorchPickle, ParametersSizesAndPairs) {
  const std::string parameter =
      global("torch._utils", "_rebuild_parameter") + tuple({matrix(), "\x88", hooks()}) + 'R';
  const std::string size = global("torch", "Size") + tuple({integers({6})}) + 'R';
  const std::string sized = global("torch._utils", "_rebuild_tensor_v2") +
                            tuple({floats(), integer(0), size, integers({1}), "\x89", hooks()}) +
                            'R';
  const std::string pairs = global("collections", "OrderedDict") + "(](" + text("p") + parameter +
                            "\x86" + text("s") + sized + "\x86" + "etR";
  const StateDict state = run(program(pairs));
  ASSERT_EQ(state.tensors.size(), 2u);
  EXPECT_EQ(state.tensors[0].name, "p");
  EXPECT_EQ(state.tensors[1].size, std::vector<Index>{6});
  // OrderedDict filled by SETITEMS, then BUILD with the attribute _metadata.
  EXPECT_EQ(run(program(hooks() + '(' + text("w") + matrix() + 'u' +
                        dict({text("_metadata"), dict({})}) + 'b'))
                .tensors.size(),
            1u);
}

TEST(TorchPickle, UntypedStorages) {
  const std::string from = storage("UntypedStorage", "0", 24);
  const auto v3 = [&](const std::string& type, std::vector<std::int64_t> size) {
    return program(dict({text("w"), global("torch._utils", "_rebuild_tensor_v3") +
                                        tuple({from, integer(0), integers(size), integers({1}),
                                               "\x89", hooks(), global("torch", type)}) +
                                        'R'}));
  };
  EXPECT_EQ(run(v3("bfloat16", {12})).tensors[0].dtype, DType::bf16);
  expect_refused(v3("bfloat16", {13}), "over a storage of 12 elements");
  expect_refused(v3("float8_e4m3fn", {12}), "torch.float8_e4m3fn");
  EXPECT_EQ(run(program(dict({text("w"), tensor(from, 0, {24}, {1})}))).tensors[0].dtype,
            DType::u8);
}

TEST(TorchPickle, WhereTheWeightsAre) {
  const std::string weights = dict({text("w"), matrix()});
  for (const char* place : {"state_dict", "model", "module", "model_state_dict"}) {
    const StateDict state = run(program(
        dict({text("epoch"), integer(3), text(place), weights, text("optimizer"),
              dict({text("state"), dict({integer(0), dict({text("exp_avg"), matrix()})})})})));
    ASSERT_EQ(state.tensors.size(), 1u) << place;
    EXPECT_EQ(state.tensors[0].name, "w");
  }
  // Lightning's key wins; two others are a riddle.
  EXPECT_EQ(
      run(program(dict({text("state_dict"), weights, text("model"), dict({text("v"), matrix()})})))
          .tensors[0]
          .name,
      "w");
  expect_refused(program(dict({text("module"), weights, text("model"), weights})), "more than one");
  expect_refused(program(dict({text("v"), matrix(), text("model"), weights})), "more than one");
  expect_refused(program(dict({text("net"), weights, text("epoch"), integer(1)})),
                 "the keys are: net, epoch");
  expect_refused(program(dict({})), "the keys are: none");
  expect_refused(program("]"), "no dictionary");
  expect_refused(program(matrix()), "no dictionary");
}

TEST(TorchPickle, EntriesThatAreNoTensorsAreReported) {
  const StateDict state =
      run(program(dict({text("w"), matrix(), text("n"), integer(3), text("x"), "N"})));
  EXPECT_EQ(state.tensors.size(), 1u);
  ASSERT_EQ(state.warnings.size(), 1u);
  EXPECT_EQ(state.warnings[0], "m.pt: entries that are no tensors, passed over: n, x");
}

TEST(TorchPickle, OpaqueObjectsAreReported) {
  const StateDict state = run(beside(global("omegaconf.dictconfig", "DictConfig") + ")\x81" +
                                     dict({text("_parent"), "N"}) + 'b'));
  ASSERT_EQ(state.warnings.size(), 1u);
  EXPECT_EQ(state.warnings[0], "m.pt: objects passed over unread: omegaconf.dictconfig.DictConfig");
  EXPECT_TRUE(run(beside(global("torch", "device") + tuple({text("cpu")}) + 'R')).warnings.empty());
}

TEST(TorchPickle, Names) {
  expect_refused(program(dict({text("w"), matrix(), text("w"), matrix()})), "w stands twice");
  expect_refused(program(dict({text("a\nb"), matrix()})), "a\\x0ab");
  expect_refused(program(dict({text(std::string(513, 'n')), matrix()})), "not acceptable");
  expect_refused(program(dict({text("\xff"), matrix()})), "not acceptable");
  expect_refused(program(dict({integer(1), matrix()})), "key is no text");
}

TEST(TorchPickle, C10NamesOffTheList) {
  using Pair = std::pair<const char*, const char*>;
  for (const auto& [module, name] : {Pair{"posix", "system"},
                                     {"os", "system"},
                                     {"builtins", "eval"},
                                     {"builtins", "exec"},
                                     {"builtins", "getattr"},
                                     {"__builtin__", "getattr"},
                                     {"builtins", "__import__"},
                                     {"subprocess", "Popen"},
                                     {"numpy.core.multiarray", "_reconstruct"},
                                     {"numpy", "load"},
                                     {"scipy.sparse", "load_npz"},
                                     {"torch", "load"},
                                     {"torch.storage", "_load_from_bytes"},
                                     {"torch.hub", "load"},
                                     {"torch._utils", "_rebuild_sparse_tensor"},
                                     {"torch", "ComplexFloatStorage"},
                                     {"torch", "FloatStorage "},
                                     {"Torch", "FloatStorage"},
                                     {"", ""},
                                     {"omegaconfx", "DictConfig"},
                                     {"omegaconf_evil.a", "b"},
                                     {"pickle", "loads"},
                                     {"collections", "OrderedDict.fromkeys"},
                                     {"runpy", "run_path"},
                                     {"functools", "partial"}}) {
    // Named, called, made into an object, or merely standing there.
    for (const char* rest : {"", ")R", ")\x81", ")R)b"}) {
      expect_refused(beside(global(module, name) + rest), "refused: the file names");
    }
    std::string stack = text(module) + text(name) + "\x93";
    expect_refused(beside(stack + ")R"), "refused: the file names");
  }
  EXPECT_NE(refusal([] {
              run(program(global("posix", "system") + '(' + text("id") + "tR"));
            }).find("data.pkl, byte 2: refused: the file names posix.system"),
            std::string::npos);
  // GLOBAL with the ends of line misplaced: the name that is read is the name that is judged.
  expect_refused(beside("ctorch\r\nFloatStorage\n"), "torch\\x0d.FloatStorage");
  expect_refused(beside("ctorch\n\nFloatStorage\n"), "torch.");
  expect_refused(program("ctorch"), "end of line");
  // Halves of a name put together from the memo.
  expect_refused(
      beside(text("posix") + "q\x05" + '0' + text("system") + "q\x06" + '0' + "h\x05h\x06\x93)R"),
      "posix.system");
}

TEST(TorchPickle, C10CallsThatMeanNothing) {
  expect_refused(beside(integer(1) + ")R"), "REDUCE of a value that is no known name");
  expect_refused(beside(text("os.system") + ")R"), "no known name");
  expect_refused(beside(global("torch", "FloatStorage") + ")R"), "makes no object");
  expect_refused(beside(global("torch", "float32") + ")\x81"), "makes no object");
  expect_refused(beside(global("torch._utils", "_rebuild_tensor_v2") + ")\x81"), "makes no object");
  expect_refused(beside(global("torch", "device") + "NR"), "tuple of arguments");
  expect_refused(beside(matrix() + dict({}) + 'b'), "BUILD");
  expect_refused(beside(dict({}) + dict({}) + 'b'), "BUILD");
  expect_refused(beside(text("x") + dict({}) + 'b'), "BUILD");
  expect_refused(beside(global("torch", "device") + dict({}) + 'b'), "BUILD");
  expect_refused(beside(matrix() + text("k") + "Ns"), "SETITEM");
  expect_refused(beside("](" + text("k") + "Nu"), "SETITEMS");
  expect_refused(beside("}Na"), "APPEND");
  expect_refused(beside("}(NNNu"), "key without a value");
}

TEST(TorchPickle, C10Opcodes) {
  // EXT1, EXT2, EXT4, PERSID, INST, OBJ, and the text forms of protocol 0.
  for (const char* bytes : {"\x82\x01", "\x83\x01\x01", "\x84\x01\x01\x01\x01", "P0\n",
                            "(ios\nsystem\n", "(cos\nsystem\no", "I1\n", "L1L\n", "F1.0\n",
                            "S'x'\n", "Vx\n", "p0\n", "g0\n", "(d", "(l", "\x97", "\x98", "\xff"}) {
    const std::string what = refusal([&] { run(program(bytes)); });
    EXPECT_TRUE(what.find("opcode") != std::string::npos ||
                what.find("os.system") != std::string::npos)
        << what;
  }
  expect_refused(std::string("\x80\x00.", 3), "protocol 0");
  expect_refused("\x80\x06.", "protocol 6");
  expect_refused("(lp0\n.", "does not begin with PROTO");
  expect_refused("", "ends before STOP");
  expect_refused("\x80", "ends before STOP");
  expect_refused("\x80\x02", "ends before STOP");
  expect_refused(program(""), "no single value");
  expect_refused(program("NN"), "no single value");
  expect_refused(program("(N"), "no single value");
}

TEST(TorchPickle, C10Sizes) {
  const auto with = [](const char* op, auto length) {
    std::string out = op;
    put(out, length);
    return program(out + "abc");
  };
  expect_refused(with("\x8d", std::uint64_t{4} << 30), "longer than the pickle");
  expect_refused(with("\x8d", ~std::uint64_t{0}), "longer than the pickle");
  expect_refused(with("\x8e", ~std::uint64_t{0} - 4), "longer than the pickle");
  expect_refused(with("\x96", ~std::uint64_t{0} - 4), "longer than the pickle");
  expect_refused(with("X", ~std::uint32_t{0}), "longer than the pickle");
  expect_refused(with("B", ~std::uint32_t{0}), "longer than the pickle");
  expect_refused(with("\x8b", std::int32_t{-1}), "negative length");
  expect_refused(with("\x8b", std::int32_t{1} << 30), "longer than the pickle");
  expect_refused(with("\x95", ~std::uint64_t{0}), "frame longer");
  expect_refused(with("Nr", std::uint32_t{1} << 31), "memo slot 2147483648");
  expect_refused(with("Nr", ~std::uint32_t{0}), "memo slot");
  expect_refused(with("j", ~std::uint32_t{0}), "was never set");
}

TEST(TorchPickle, C10Floods) {
  const auto repeat = [](const std::string& piece, std::size_t times) {
    std::string out;
    out.reserve(piece.size() * times);
    for (std::size_t i = 0; i < times; ++i) out += piece;
    return out;
  };
  expect_refused(program(repeat("(", 10'000'000)), "open marks");
  expect_refused(program(repeat("N", 10'000'000)), "more than 1048576");
  expect_refused(program("Nq\1" + repeat("2", 10'000'000)), "more than 1048576");
  expect_refused(program("]q" + std::string(1, '\1') + repeat("h\1a", 5'000'000)),
                 "too many items");
  expect_refused(program("N" + repeat("\x85", 5'000'000)), "more than 1048576 values");
  expect_refused(
      program(global("torch._utils", "_rebuild_tensor_v2") + "q\1" +
              tuple({floats(), integer(0), integers({1}), integers({1}), "\x89", hooks()}) + "q\2" +
              'R' + repeat("h\1h\2R", 1'000'000)),
      "tensors");
  expect_refused(std::string(std::size_t{33} << 20, 'N'), "bytes of pickle");
  std::string classes = "]";
  for (int i = 0; i < 300; ++i)
    classes += global("omegaconf", std::string("C").append(std::to_string(i))) + "a";
  expect_refused(program(classes), "names of classes");
}

TEST(TorchPickle, C10ADeepValueBesideTheWeights) {
  std::string deep = "N";
  deep.append(400'000, '\x85');
  EXPECT_EQ(run(beside(deep)).tensors.size(), 1u);
}

TEST(TorchPickle, C10AValueThatHoldsItself) {
  // A list that contains itself, and a dictionary of weights that does.
  EXPECT_EQ(run(beside("]q\5h\5a")).tensors.size(), 1u);
  EXPECT_EQ(run(program("}q\5(" + text("w") + matrix() + text("me") + "h\5u")).tensors.size(), 1u);
  EXPECT_EQ(run(program("}q\5(" + text("w") + matrix() + text("z") + "h\5u")).tensors.size(), 1u);
  expect_refused(program("}q\5(" + text("w") + matrix() + text("model") + "h\5u"), "more than one");
}

TEST(TorchPickle, StackAndMarks) {
  for (const char* body : {"R", "\x81", "b", "a", "s", "0", "2", "\x93", "Q", "\x85", "N\x86",
                           "NN\x87", "(R", "N(0", "}(NR"}) {
    expect_refused(program(body), "empty stack");
  }
  for (const char* body : {"t", "e", "u", "1", "\x90", "\x91"}) {
    expect_refused(program(body), "mark that was never set");
  }
}

TEST(TorchPickle, C10Storages) {
  const auto with = [](const std::string& pid) {
    return program(dict({text("w"), tensor(pid, 0, {1}, {1})}));
  };
  const std::string type = global("torch", "FloatStorage");
  const auto pid = [&](const std::vector<std::string>& items) { return with(tuple(items) + 'Q'); };
  EXPECT_NO_THROW(run(pid({text("storage"), type, text("0"), text("cuda:0"), integer(6)})));
  expect_refused(pid({text("module"), type, text("0"), text("cpu"), integer(6)}), "no storage");
  expect_refused(pid({text("storage"), type, text("9"), text("cpu"), integer(6)}), "no member");
  for (const char* key : {"../0", "/0", "../../etc/passwd", "", "0/", "0 "}) {
    expect_refused(pid({text("storage"), type, text(key), text("cpu"), integer(6)}), "no member");
  }
  expect_refused(pid({text("storage"), text("FloatStorage"), text("0"), text("cpu"), integer(6)}),
                 "unknown type");
  expect_refused(
      pid({text("storage"), global("torch", "float32"), text("0"), text("cpu"), integer(6)}),
      "unknown type");
  expect_refused(pid({text("storage"), type, integer(0), text("cpu"), integer(6)}), "key");
  expect_refused(pid({text("storage"), type, text("0"), "N", integer(6)}), "location");
  expect_refused(pid({text("storage"), type, text("0"), text("cpu")}), "no storage");
  expect_refused(pid({text("storage"), type, text("0"), text("cpu"), integer(6), "N"}), "storage");
  expect_refused(pid({text("storage"), type, text("0"), text("cpu"), integer(7)}), "24 bytes");
  expect_refused(pid({text("storage"), type, text("0"), text("cpu"), integer(-1)}), "-1");
  // 2^62 elements of 4 bytes wrap to none.
  expect_refused(
      pid({text("storage"), type, text("0"), text("cpu"), integer(std::int64_t{1} << 62)}),
      "24 bytes");
  expect_refused(with(text("storage") + 'Q'), "a storage");
}

TEST(TorchPickle, C13Extents) {
  constexpr std::int64_t kBig = std::int64_t{1} << 62;
  const auto with = [](std::int64_t offset, std::vector<std::int64_t> size,
                       std::vector<std::int64_t> stride) {
    return program(dict({text("w"), tensor(floats(), offset, size, stride)}));
  };
  EXPECT_NO_THROW(run(with(0, {6}, {1})));
  EXPECT_NO_THROW(run(with(5, {1}, {kBig}))) << "the stride of an extent of 1 means nothing";
  EXPECT_NO_THROW(run(with(5, {1000}, {0})));
  EXPECT_NO_THROW(run(with(6, {0}, {1})));
  const std::string word = "over a storage of 6 elements";
  expect_refused(with(0, {7}, {1}), word);
  expect_refused(with(1, {6}, {1}), word);
  expect_refused(with(6, {}, {}), word);
  expect_refused(with(7, {0}, {1}), word);
  expect_refused(with(0, {2, 3}, {4, 1}), word);
  expect_refused(with(0, {2}, {kBig}), word);
  expect_refused(with(0, {3, 3}, {kBig, kBig}), word);
  expect_refused(with(kBig, {2}, {kBig}), word);
  expect_refused(with(0, {kBig}, {1}), word);
  expect_refused(with(0, {kBig}, {0}), word);
  expect_refused(with(0, {kBig, 4}, {0, 0}), word);
  expect_refused(with(0, {kBig, 4, 0}, {0, 0, 0}), word);
  expect_refused(with(0, {1 << 25}, {0}), word);
  expect_refused(with(0, {-1}, {1}), "-1, want 0 or more");
  expect_refused(with(0, {1}, {-1}), "-1, want 0 or more");
  expect_refused(with(-1, {1}, {1}), "-1, want 0 or more");
  expect_refused(with(0, {2, 3}, {1}), "sizes [2, 3] and strides [1]");
  expect_refused(with(0, std::vector<std::int64_t>(33, 1), std::vector<std::int64_t>(33, 1)),
                 "33 dimensions");
  expect_refused(program(dict({text("a"), tensor(floats(), 0, {1}, {1}), text("b"),
                               tensor(storage("HalfStorage", "0", 6), 0, {1}, {1})})),
                 "of two kinds");
  expect_refused(program(dict({text("a"), tensor(floats(), 0, {1}, {1}), text("b"),
                               tensor(floats("0", 5), 0, {1}, {1})})),
                 "of two kinds");
  const auto call = [](std::vector<std::string> arguments) {
    return program(
        dict({text("w"), global("torch._utils", "_rebuild_tensor_v2") + tuple(arguments) + 'R'}));
  };
  expect_refused(call({floats(), integer(0), integers({1}), integers({1})}), "arguments");
  expect_refused(call({text("0"), integer(0), integers({1}), integers({1}), "\x89", hooks()}),
                 "no storage");
  expect_refused(call({floats(), text("0"), integers({1}), integers({1}), "\x89", hooks()}),
                 "no integer");
  expect_refused(call({floats(), integer(0), integer(1), integers({1}), "\x89", hooks()}),
                 "no tuple");
  expect_refused(call({floats(), integer(0), tuple({"\x88"}), integers({1}), "\x89", hooks()}),
                 "no integer");
}

TEST(TorchPickle, LongIntegers) {
  // LONG1 of 0, 1, 8 and 9 bytes, as the offset of a tensor.
  const auto with = [](const std::string& offset) {
    return program(
        dict({text("w"),
              global("torch._utils", "_rebuild_tensor_v2") +
                  tuple({floats(), offset, integers({1}), integers({1}), "\x89", hooks()}) + 'R'}));
  };
  EXPECT_EQ(run(with(std::string("\x8a\x00", 2))).tensors[0].offset, 0);
  EXPECT_EQ(run(with("\x8a\x01\x05")).tensors[0].offset, 5);
  EXPECT_EQ(run(with(std::string("\x8a\x08\x05\0\0\0\0\0\0\0", 10))).tensors[0].offset, 5);
  EXPECT_EQ(run(with(std::string("\x8b\x02\0\0\0\x05\0", 7))).tensors[0].offset, 5);
  expect_refused(with("\x8a\x01\xff"), "is -1");
  expect_refused(with(std::string("\x8a\x09\x05\0\0\0\0\0\0\0\0", 11)), "no integer");
}

// Every tensor that comes out lies inside its storage, whatever went in.
void expect_sound(const std::string& pickle) {
  try {
    for (const TorchTensor& t : run(pickle).tensors) {
      ASSERT_LT(t.storage, 2u);
      unsigned __int128 last = static_cast<unsigned __int128>(t.offset);
      bool empty = false;
      for (std::size_t d = 0; d < t.size.size(); ++d) {
        ASSERT_GE(t.size[d], 0);
        ASSERT_GE(t.stride[d], 0);
        empty = empty || t.size[d] == 0;
        if (t.size[d] > 0) {
          last += static_cast<unsigned __int128>(t.size[d] - 1) *
                  static_cast<unsigned __int128>(t.stride[d]);
        }
      }
      const unsigned room = (t.storage == 0 ? 24u : 8u) / static_cast<unsigned>(size_of(t.dtype));
      if (!empty) {
        ASSERT_LT(last, room);
      }
    }
  } catch (const Error& e) {
    ASSERT_EQ(e.fault(), Fault::checkpoint);
  }
}

TEST(TorchPickle, EveryTruncationAndEveryByteChanged) {
  const std::string good = program(dict(
      {text("state_dict"),
       hooks() + '(' + text("w") + matrix() + text("v") + tensor(floats("1", 2), 1, {1}, {1}) + "u",
       text("n"), integer(3)}));
  ASSERT_EQ(run(good).tensors.size(), 2u);
  for (std::size_t n = 0; n < good.size(); ++n) {
    refusal([&] { run(good.substr(0, n)); });
  }
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (int flip = 1; flip < 256; ++flip) {
      std::string changed = good;
      changed[at] = static_cast<char>(changed[at] ^ flip);
      expect_sound(changed);
    }
  }
}

TEST(TorchPickle, RandomPrograms) {
  const std::string good =
      program(dict({text("w"), matrix(), text("v"), tensor(floats("1", 2), 1, {1}, {1})}));
  const std::string opcodes =
      "(.01 2GJKMNQRTUXabc}ehj]qrst)u\x80\x81\x85\x86\x87\x88\x89\x8a\x8c\x93\x94\x95";
  std::mt19937 random(5);
  for (int round = 0; round < 100'000; ++round) {
    std::string changed = good;
    for (int edits = 1 + static_cast<int>(random() % 4); edits > 0; --edits) {
      const std::size_t at = 2 + random() % (changed.size() - 2);
      switch (random() % 4) {
        case 0:
          changed[at] = opcodes[random() % opcodes.size()];
          break;
        case 1:
          changed.insert(at, 1, opcodes[random() % opcodes.size()]);
          break;
        case 2:
          changed.erase(at, 1 + random() % 3);
          break;
        default: {
          const std::size_t from = random() % good.size();
          changed.insert(at, good, from, random() % 40);
        }
      }
    }
    expect_sound(changed);
  }
}

}  // namespace
}  // namespace genossm
