#include <charconv>
#include <cmath>
#include <limits>

#include "kernels/core/dtype.h"
#include "libgenossm/base/json.h"
#include "libgenossm/checkpoint/safetensors.h"
#include "tests/unit/output/rows.h"

namespace genossm::testing {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kNames = {"a.npz", "a.npy", "a.safetensors", "a.tsv", "a.tsv.gz"};

std::vector<std::int64_t> lengths_of(const std::vector<TestRecord>& records) {
  std::vector<std::int64_t> lengths;
  for (const TestRecord& record : records) lengths.push_back(record.label.length);
  return lengths;
}

std::u32string utf32(const std::string& bytes) {
  std::u32string text(bytes.size() / 4, U'\0');
  std::memcpy(text.data(), bytes.data(), bytes.size());
  return text;
}

TEST(Matrix, NpzOfRecords) {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "a.npz").string();
  const auto records = sample(false, false);
  write_matrix(path, spec_of(false), records);
  const auto members = unzip(path);
  ASSERT_EQ(members.size(), 4u);
  EXPECT_EQ(members[0].first, "embeddings.npy");
  const Npy matrix = parse_npy(members[0].second);
  EXPECT_EQ(matrix.dictionary, dictionary("<f4", "(6, 3)"));
  EXPECT_EQ(elements<float>(matrix.data), all_values(records));
  EXPECT_EQ(members[1].first, "names.npy");
  const Npy names = parse_npy(members[1].second);
  EXPECT_EQ(names.dictionary, dictionary("<U11", "(6,)"));
  const std::u32string text = utf32(names.data);
  EXPECT_EQ(text.substr(0, 11), std::u32string(U"one") + std::u32string(8, U'\0'));
  EXPECT_EQ(text.substr(11, 11), std::u32string(U"G\u00fcnther \u4f60 \U0001f9ec"));
  EXPECT_EQ(text.substr(33, 8), std::u32string(U"bad\ufffd"
                                               U"byte"));
  EXPECT_EQ(text.substr(55), std::u32string(11, U'\0'));
  EXPECT_EQ(members[2].first, "lengths.npy");
  const Npy lengths = parse_npy(members[2].second);
  EXPECT_EQ(lengths.dictionary, dictionary("<i8", "(6,)"));
  EXPECT_EQ(elements<std::int64_t>(lengths.data), lengths_of(records));
  EXPECT_EQ(members[3].first, "provenance.npy");
  const Npy provenance = parse_npy(members[3].second);
  EXPECT_EQ(provenance.dictionary, dictionary("<U16", "()"));
  EXPECT_EQ(utf32(provenance.data), U"{\"model\": \"x \u00e9\"}");
  EXPECT_EQ(entries(folder.path()), 1u);
}

TEST(Matrix, NpzOfBasesOfRegions) {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "a.npz").string();
  const auto records = sample(true, true);
  write_matrix(path, spec_of(true, Element::f16, ""), records, 2);
  const auto members = unzip(path);
  std::vector<std::string> names;
  for (const auto& member : members) names.push_back(member.first);
  ASSERT_EQ(names,
            (std::vector<std::string>{"embeddings.npy", "names.npy", "lengths.npy", "contigs.npy",
                                      "starts.npy", "ends.npy", "offsets.npy"}));
  const Npy matrix = parse_npy(members[0].second);
  EXPECT_EQ(matrix.dictionary, dictionary("<f2", "(19, 3)"));
  std::vector<float> values;
  for (const auto bits : elements<std::uint16_t>(matrix.data)) values.push_back(f16_to_f32(bits));
  EXPECT_EQ(values, all_values(records));
  const Npy contigs = parse_npy(members[3].second);
  EXPECT_EQ(contigs.dictionary, dictionary("<U4", "(6,)"));
  EXPECT_EQ(utf32(contigs.data), U"chr1chr\u00e9chr\u00e9chr\u00e9chr\u00e9chr\u00e9");
  using Integers = std::vector<std::int64_t>;
  EXPECT_EQ(elements<std::int64_t>(parse_npy(members[4].second).data),
            (Integers{100, 105, 113, 114, 117, 119}));
  EXPECT_EQ(elements<std::int64_t>(parse_npy(members[5].second).data),
            (Integers{104, 112, 113, 116, 118, 124}));
  const Npy offsets = parse_npy(members[6].second);
  EXPECT_EQ(offsets.dictionary, dictionary("<i8", "(7,)"));
  EXPECT_EQ(elements<std::int64_t>(offsets.data), (Integers{0, 4, 11, 11, 13, 14, 19}));
}

TEST(Matrix, NpyAndItsNames) {
  const TemporaryFolder folder;
  const auto records = sample(false, false);
  const std::string path = (folder.path() / "a.b.npy").string();
  write_matrix(path, spec_of(false), records);
  const Npy matrix = parse_npy(slurp(path));
  EXPECT_EQ(matrix.dictionary, dictionary("<f4", "(6, 3)"));
  EXPECT_EQ(elements<float>(matrix.data), all_values(records));
  EXPECT_EQ(slurp(folder.path() / "a.b.names.tsv"),
            "##genossm={\"model\": \"x \xc3\xa9\"}\n"
            "#name\tcontig\tstart\tend\tlength\n"
            "one\t.\t-1\t-1\t4\n"
            "G\xc3\xbcnther \xe4\xbd\xa0 \xf0\x9f\xa7\xac\t.\t-1\t-1\t7\n"
            "empty\t.\t-1\t-1\t0\n"
            "bad\xff"
            "byte\t.\t-1\t-1\t2\n"
            "a b c\t.\t-1\t-1\t1\n"
            "\t.\t-1\t-1\t5\n");
  EXPECT_EQ(entries(folder.path()), 2u);

  const auto writer = open_matrix({(folder.path() / "plain").string(), "npy", false},
                                  spec_of(true, Element::f16, ""));
  write_records(*writer, sample(true, true), 3);
  writer->finish();
  EXPECT_EQ(parse_npy(slurp(folder.path() / "plain")).dictionary, dictionary("<f2", "(19, 3)"));
  const std::string names = slurp(folder.path() / "plain.names.tsv");
  EXPECT_TRUE(
      names.starts_with("#name\tcontig\tstart\tend\tlength\tfirst_row\trows\n"
                        "one\tchr1\t100\t104\t4\t0\t4\n"))
      << names;
  EXPECT_TRUE(names.ends_with("\n\tchr\xc3\xa9\t119\t124\t5\t14\t5\n")) << names;
}

TEST(Matrix, NpyIsRefusedForEitherOfItsFiles) {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "a.npy").string();
  folder.write("a.names.tsv", "old");
  expect_refusal(Fault::output, {"a.names.tsv", "exists already"}, [&] {
    open_matrix({path, "", false}, spec_of(false));
  });
  EXPECT_EQ(entries(folder.path()), 1u);
  const auto writer = open_matrix({path, "", true}, spec_of(false));
  writer->finish();
  EXPECT_EQ(entries(folder.path()), 2u);
}

struct Tensor {
  TensorInfo info;
  std::string bytes;
};

std::map<std::string, Tensor> read_tensors(const std::string& path) {
  const MappedFile file = MappedFile::open(path);
  const SafetensorsHeader header = parse_safetensors(file.bytes(), path);
  std::map<std::string, Tensor> tensors;
  for (std::size_t i = 0; i < header.tensors.size(); ++i) {
    const TensorInfo& info = header.tensors[i];
    const auto size = static_cast<std::size_t>(info.elements() * size_of(info.dtype));
    tensors[info.name] = {info, std::string(file.text().substr(header.begin[i], size))};
  }
  return tensors;
}

TEST(Matrix, Safetensors) {
  const TemporaryFolder folder;
  for (const bool per_base : {false, true}) {
    for (const bool regions : {false, true}) {
      for (const Element element : {Element::f32, Element::f16, Element::bf16}) {
        const std::string path = (folder.path() / "a.safetensors").string();
        const auto records = sample(per_base, regions);
        write_matrix(path, spec_of(per_base, element), records, 1);
        auto tensors = read_tensors(path);
        EXPECT_EQ(tensors.size(), 3u + (regions ? 3u : 0u) + (per_base ? 1u : 0u));
        const Tensor& matrix = tensors.at("embeddings");
        EXPECT_EQ(matrix.info.shape, (std::vector<Index>{per_base ? 19 : 6, 3}));
        std::vector<float> values;
        if (element == Element::f32) {
          EXPECT_EQ(matrix.info.dtype, DType::f32);
          values = elements<float>(matrix.bytes);
        } else {
          const bool half = element == Element::f16;
          EXPECT_EQ(matrix.info.dtype, half ? DType::f16 : DType::bf16);
          for (const auto bits : elements<std::uint16_t>(matrix.bytes)) {
            values.push_back(half ? f16_to_f32(bits) : bf16_to_f32(bits));
          }
        }
        EXPECT_EQ(values, all_values(records));
        EXPECT_EQ(elements<std::int64_t>(tensors.at("lengths").bytes), lengths_of(records));
        EXPECT_EQ(tensors.at("names").info.dtype, DType::u8);
        EXPECT_EQ(tensors.at("names").bytes,
                  "one\nG\xc3\xbcnther \xe4\xbd\xa0 \xf0\x9f\xa7\xac\nempty\n"
                  "bad\xef\xbf\xbd"
                  "byte\na b c\n");
        if (regions) {
          EXPECT_EQ(tensors.at("contigs").bytes,
                    "chr1\nchr\xc3\xa9\nchr\xc3\xa9\nchr\xc3\xa9\nchr\xc3\xa9\nchr\xc3\xa9");
          EXPECT_EQ(elements<std::int64_t>(tensors.at("starts").bytes).back(), 119);
          EXPECT_EQ(elements<std::int64_t>(tensors.at("ends").bytes).back(), 124);
        }
        if (per_base) {
          EXPECT_EQ(elements<std::int64_t>(tensors.at("offsets").bytes),
                    (std::vector<std::int64_t>{0, 4, 11, 11, 13, 14, 19}));
        }
        const std::string bytes = slurp(path);
        const auto size = elements<std::uint64_t>(bytes.substr(0, 8))[0];
        EXPECT_EQ(size % 8, 0u);
        EXPECT_EQ(
            Json::parse(bytes.substr(8, size), path).object("__metadata__").text("provenance"),
            "{\"model\": \"x \xc3\xa9\"}");
        fs::remove(path);
      }
    }
  }
}

TEST(Matrix, TableOfRecords) {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "a.tsv").string();
  const float largest = std::numeric_limits<float>::max();
  const std::vector<TestRecord> records = {
      {label_of("a\tb", 12), {0.1f, -1.5f, 1e-30f}},
      {label_of("empty", 0), {std::nanf(""), -std::nanf(""), INFINITY}},
      {label_of("c", 3), {largest, -0.0f, 16777216.0f}}};
  write_matrix(path, spec_of(false, Element::f32, "{}"), records);
  EXPECT_EQ(slurp(path),
            "##genossm={}\n"
            "#name\tlength\tv1\tv2\tv3\n"
            "a b\t12\t0.1\t-1.5\t1e-30\n"
            "empty\t0\tnan\tnan\tinf\n"
            "c\t3\t3.4028235e+38\t-0\t16777216\n");
  const std::string other = (folder.path() / "b.tsv").string();
  write_matrix(other, spec_of(false, Element::f32, ""),
               {{region_of("peak", "chr\t2", 0, 10), {1, 2, 3}}});
  EXPECT_EQ(slurp(other),
            "#name\tcontig\tstart\tend\tlength\tv1\tv2\tv3\n"
            "peak\tchr 2\t0\t10\t10\t1\t2\t3\n");
}

TEST(Matrix, TableOfBases) {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "a.tsv").string();
  write_matrix(path, spec_of(true, Element::f16, ""),
               {{label_of("a", 2), {0.1f, 2, 3, 4, 5, 6}}, {label_of("none", 0), {}}});
  EXPECT_EQ(slurp(path),
            "#name\tpos\tv1\tv2\tv3\n"
            "a\t1\t0.099975586\t2\t3\n"  // what a float16 makes of 0.1
            "a\t2\t4\t5\t6\n");
  const std::string other = (folder.path() / "b.tsv").string();
  write_matrix(other, spec_of(true, Element::f32, ""),
               {{region_of("r", "chr2", 10, 12), {1, 2, 3, 4, 5, 6}}});
  EXPECT_EQ(slurp(other),
            "#name\tcontig\tpos\tv1\tv2\tv3\n"
            "r\tchr2\t11\t1\t2\t3\n"
            "r\tchr2\t12\t4\t5\t6\n");
}

// Shortest text, and yet every float comes back.
TEST(Matrix, TableNumbersReadBack) {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "a.tsv").string();
  std::vector<TestRecord> records;
  std::uint32_t bits = 1;
  for (int i = 0; i < 2000; ++i) {
    TestRecord record{label_of("r", 1), {}};
    while (record.values.size() < 3) {
      bits = bits * 1664525 + 1013904223;
      const float value = std::bit_cast<float>(bits);
      if (std::isfinite(value)) record.values.push_back(value);
    }
    records.push_back(record);
  }
  write_matrix(path, spec_of(false, Element::f32, ""), records);
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  for (const TestRecord& record : records) {
    ASSERT_TRUE(std::getline(file, line));
    const char *at = line.data() + 4, *end = line.data() + line.size();
    for (const float want : record.values) {
      float got = 0;
      at = std::from_chars(at, end, got).ptr + 1;
      EXPECT_EQ(got, want);
    }
  }
}

TEST(Matrix, NoRecords) {
  for (const bool per_base : {false, true}) {
    const TemporaryFolder folder;
    for (const std::string& name : kNames) {
      write_matrix((folder.path() / name).string(), spec_of(per_base), {});
    }
    const auto members = unzip((folder.path() / "a.npz").string());
    ASSERT_EQ(members.size(), per_base ? 5u : 4u);
    EXPECT_EQ(parse_npy(members[0].second).dictionary, dictionary("<f4", "(0, 3)"));
    EXPECT_EQ(parse_npy(members[1].second).dictionary, dictionary("<U1", "(0,)"));
    EXPECT_EQ(parse_npy(members[2].second).dictionary, dictionary("<i8", "(0,)"));
    if (per_base) {
      EXPECT_EQ(elements<std::int64_t>(parse_npy(members[3].second).data),
                std::vector<std::int64_t>{0});
    }
    EXPECT_EQ(parse_npy(slurp(folder.path() / "a.npy")).dictionary, dictionary("<f4", "(0, 3)"));
    const auto tensors = read_tensors((folder.path() / "a.safetensors").string());
    EXPECT_EQ(tensors.at("embeddings").info.shape, (std::vector<Index>{0, 3}));
    EXPECT_EQ(tensors.at("names").info.shape, (std::vector<Index>{0}));
    EXPECT_TRUE(
        slurp(folder.path() / "a.tsv")
            .ends_with(per_base ? "\n#name\tpos\tv1\tv2\tv3\n" : "\n#name\tlength\tv1\tv2\tv3\n"));
  }
}

TEST(Matrix, TheSameBytesHoweverTheRowsCome) {
  const TemporaryFolder folder;
  const auto records = sample(true, true);
  for (const std::string& name : kNames) {
    std::vector<std::string> all;
    for (const Index piece : {1, 2, 3, 5, 1000}) {
      const std::string path = (folder.path() / name).string();
      write_matrix(path, spec_of(true), records, piece);
      all.push_back(slurp(path));
      fs::remove(path);
      fs::remove(folder.path() / "a.names.tsv");
    }
    for (const std::string& bytes : all) EXPECT_TRUE(bytes == all[0]) << name;
  }
}

TEST(Matrix, RowsOfAWiderMatrix) {
  const TemporaryFolder folder;
  const std::vector<float> wide = {1, 2, 3, 0, 0, 4, 5, 6, 0, 0};
  for (const std::string& name : kNames) {
    const std::string path = (folder.path() / name).string();
    const auto writer = open_matrix({path, "", false}, spec_of(true));
    writer->begin_record(label_of("r", 2));
    writer->rows({wide.data(), {2, 3}, {5, 1}});
    writer->end_record();
    writer->finish();
  }
  EXPECT_EQ(elements<float>(parse_npy(slurp(folder.path() / "a.npy")).data),
            (std::vector<float>{1, 2, 3, 4, 5, 6}));
}

TEST(Matrix, NothingIsLeftOfAnUnfinishedOne) {
  const TemporaryFolder folder;
  for (const std::string& name : kNames) {
    const auto writer = open_matrix({(folder.path() / name).string(), "", false}, spec_of(true));
    write_records(*writer, sample(true, false));
  }
  EXPECT_EQ(entries(folder.path()), 0u);
}

TEST(Matrix, ExistingAndLockedOutputs) {
  const TemporaryFolder folder;
  for (const std::string& name : kNames) {
    const std::string path = (folder.path() / name).string();
    const auto first = open_matrix({path, "", false}, spec_of(false));
    expect_refusal(Fault::output, {"another process"}, [&] {
      open_matrix({path, "", true}, spec_of(false));
    });
    write_records(*first, sample(false, false));
    first->finish();
    const std::string bytes = slurp(path);
    expect_refusal(Fault::output, {name, "exists already"}, [&] {
      open_matrix({path, "", false}, spec_of(false));
    });
    const auto second = open_matrix({path, "", true}, spec_of(false));
    write_records(*second, sample(false, false));
    second->finish();
    EXPECT_TRUE(slurp(path) == bytes);
    expect_refusal(Fault::output, {"no folder"}, [&] {
      open_matrix({path + ".d/" + name, "", true}, spec_of(false));
    });
  }
}

TEST(Matrix, NumbersThatDoNotFit) {
  const TemporaryFolder folder;
  const auto write = [&](const std::string& name, Element element, float value) {
    write_matrix((folder.path() / name).string(), spec_of(false, element),
                 {{label_of("fine", 1), {1, INFINITY, NAN}}, {label_of("big", 1), {1, value, 3}}});
  };
  for (const char* name : {"a.npz", "a.npy", "a.safetensors", "a.tsv"}) {
    expect_refusal(Fault::input, {"'big'", "65520", "row 0, column 1", "f16", "--dtype f32"},
                   [&] { write(name, Element::f16, 65520.0f); });
    expect_refusal(Fault::input, {"'big'"}, [&] { write(name, Element::f16, -1e30f); });
    EXPECT_EQ(entries(folder.path()), 0u);
  }
  write("b.npz", Element::f16, 65519.0f);
  expect_refusal(Fault::input, {"'big'", "bf16"},
                 [&] { write("a.safetensors", Element::bf16, std::numeric_limits<float>::max()); });
}

TEST(Matrix, Bf16IsForSafetensors) {
  const TemporaryFolder folder;
  for (const char* name : {"a.npz", "a.npy", "a.tsv", "a.tsv.gz"}) {
    expect_refusal(Fault::usage, {"bf16", ".safetensors"}, [&] {
      open_matrix({(folder.path() / name).string(), "", false}, spec_of(false, Element::bf16));
    });
  }
  EXPECT_EQ(entries(folder.path()), 0u);
}

TEST(Matrix, CallersThatBreakTheContract) {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "a.npz").string();
  const std::vector<float> values(12, 1.0f);
  const auto broken = [&](bool per_base, auto action) {
    expect_refusal(Fault::internal, {"record"}, [&] {
      const auto writer = open_matrix({path, "", false}, spec_of(per_base));
      action(*writer);
    });
  };
  const auto row = [&](MatrixWriter& w) { w.rows({values.data(), {1, 3}}); };
  broken(false, [&](MatrixWriter& w) { row(w); });
  broken(false, [&](MatrixWriter& w) { w.end_record(); });
  broken(false, [&](MatrixWriter& w) {
    w.begin_record(label_of("a", 1));
    w.begin_record(label_of("b", 1));
  });
  broken(false, [&](MatrixWriter& w) {
    w.begin_record(label_of("a", 1));
    w.end_record();
  });
  broken(true, [&](MatrixWriter& w) {
    w.begin_record(label_of("a", 2));
    row(w);
    w.end_record();
  });
  broken(false, [&](MatrixWriter& w) {
    w.begin_record(label_of("a", 1));
    w.rows({values.data(), {1, 4}});
  });
  broken(false, [&](MatrixWriter& w) {
    w.begin_record(label_of("a", 1));
    w.finish();
  });
  broken(false, [&](MatrixWriter& w) {
    w.begin_record(label_of("a", 1));
    row(w);
    w.end_record();
    w.begin_record(region_of("b", "chr1", 0, 1));
  });
  broken(false, [&](MatrixWriter& w) {
    w.finish();
    std::filesystem::remove(path);
    w.finish();
  });
  expect_refusal(Fault::internal, {"columns"}, [&] { open_matrix({path, "", false}, {}); });
}

}  // namespace
}  // namespace genossm::testing
