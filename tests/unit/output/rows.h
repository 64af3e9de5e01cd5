// Records with made-up rows, written in pieces, and readers of the formats that share no code with
// the writers.
#pragma once

#include <cstring>

#include "libgenossm/base/mapped_file.h"
#include "libgenossm/base/zip.h"
#include "libgenossm/output/writer.h"
#include "tests/unit/io/files.h"  // temporary folders, refusals

namespace genossm::testing {

struct TestRecord {
  RowLabel label;
  std::vector<float> values;  // [rows, columns]
};

constexpr Index kColumns = 3;

// Values that a float16 holds exactly, and infinities and NaN among them.
inline std::vector<float> made_up(Index rows, Index seed) {
  std::vector<float> values(static_cast<std::size_t>(rows * kColumns));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = 0.25f * static_cast<float>((static_cast<Index>(i) * 7 + seed * 13) % 101) - 12.5f;
  }
  return values;
}

inline RowLabel label_of(const std::string& name, Index length) {
  RowLabel label;
  label.name = name;
  label.length = length;
  return label;
}

inline RowLabel region_of(const std::string& name, const std::string& contig, Index begin,
                          Index end) {
  return {name, contig, begin, end, end - begin};
}

inline std::vector<TestRecord> sample(bool per_base, bool regions) {
  std::vector<TestRecord> records;
  const std::vector<std::pair<std::string, Index>> sizes = {
      {"one", 4},
      {"G\xc3\xbcnther \xe4\xbd\xa0 \xf0\x9f\xa7\xac", 7},
      {"empty", 0},
      {"bad\xff"
       "byte",
       2},
      {"a\tb\nc", 1},
      {"", 5}};
  Index at = 100;
  for (const auto& [name, length] : sizes) {
    TestRecord record;
    record.label = regions ? region_of(name, at < 105 ? "chr1" : "chr\xc3\xa9", at, at + length)
                           : label_of(name, length);
    record.values = made_up(per_base ? length : 1, at);
    at += length + 1;
    records.push_back(record);
  }
  return records;
}

// `piece`: rows handed over at once.
inline void write_records(MatrixWriter& writer, const std::vector<TestRecord>& records,
                          Index piece = 1000) {
  for (const TestRecord& record : records) {
    writer.begin_record(record.label);
    const Index rows = static_cast<Index>(record.values.size()) / kColumns;
    for (Index i = 0; i < rows; i += piece) {
      const Index n = std::min(piece, rows - i);
      writer.rows({record.values.data() + i * kColumns, {n, kColumns}});
    }
    writer.end_record();
  }
}

inline MatrixSpec spec_of(bool per_base, Element element = Element::f32,
                          const std::string& provenance = "{\"model\": \"x \xc3\xa9\"}") {
  return {kColumns, element, per_base, provenance};
}

inline void write_matrix(const std::string& path, const MatrixSpec& spec,
                         const std::vector<TestRecord>& records, Index piece = 1000) {
  const auto writer = open_matrix({path, "", false}, spec);
  write_records(*writer, records, piece);
  writer->finish();
}

inline std::vector<float> all_values(const std::vector<TestRecord>& records) {
  std::vector<float> all;
  for (const TestRecord& record : records) {
    all.insert(all.end(), record.values.begin(), record.values.end());
  }
  return all;
}

inline std::size_t entries(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

// A .npy array: its dictionary, and the bytes after it.
struct Npy {
  std::string dictionary, data;
};

inline Npy parse_npy(const std::string& bytes) {
  EXPECT_EQ(bytes.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  const std::size_t size =
      static_cast<unsigned char>(bytes.at(8)) + 256u * static_cast<unsigned char>(bytes.at(9));
  EXPECT_EQ((10 + size) % 64, 0u);
  EXPECT_EQ(bytes.at(9 + size), '\n');
  std::string dictionary = bytes.substr(10, size - 1);
  dictionary.erase(dictionary.find_last_not_of(' ') + 1);
  return {dictionary, bytes.substr(10 + size)};
}

inline std::string dictionary(const std::string& type, const std::string& shape) {
  return "{'descr': '" + type + "', 'fortran_order': False, 'shape': " + shape + ", }";
}

template <class T>
std::vector<T> elements(const std::string& bytes) {
  EXPECT_EQ(bytes.size() % sizeof(T), 0u);
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

// The members of a ZIP file, checksums verified, in their order.
inline std::vector<std::pair<std::string, std::string>> unzip(const std::string& path) {
  const MappedFile file = MappedFile::open(path);
  std::vector<std::pair<std::string, std::string>> members;
  for (const ZipMember& member : read_zip(file.bytes(), path)) {
    check_crc(file.bytes(), member, path);
    members.emplace_back(member.name, file.text().substr(member.offset, member.size));
  }
  return members;
}

}  // namespace genossm::testing
