// A Zarr store out of parts: wherever the rows are cut, the bytes are those of one writer.
#include <map>

#include "libgenossm/output/kept_matrix.h"
#include "libgenossm/output/zarr_store.h"
#include "tests/unit/output/rows.h"

namespace genossm::testing {
namespace {

namespace fs = std::filesystem;

// Wide enough for chunks of 5 rows.
constexpr Index kWide = 200'000;

MatrixSpec wide(bool per_base) {
  MatrixSpec spec;
  spec.columns = kWide;
  spec.per_base = per_base;
  spec.provenance = "{\"a\": 1}";
  return spec;
}

std::vector<float> row_of(Index row) {
  std::vector<float> values(kWide, 0.5f * static_cast<float>(row));
  for (Index c = 0; c < 100; ++c)
    values[static_cast<std::size_t>(c * 1999)] = made_up(1, row + c)[0];
  return values;
}

std::map<std::string, std::string> files_of(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) {
      files[fs::relative(entry.path(), folder).string()] = slurp(entry.path());
    }
  }
  return files;
}

// Records as a job gives them: lengths of per-base records, or one row each.
class Job {
 public:
  explicit Job(bool per_base) : spec_(wide(per_base)) {
    const std::vector<Index> lengths{4, 0, 9, 1, 7};
    for (std::size_t r = 0; r < (per_base ? lengths.size() : 21); ++r) {
      records_.push_back(region_of("r" + std::to_string(r), "c", 0, per_base ? lengths[r] : 3));
    }
  }
  static constexpr Index kRows = 21;

  // Rows [begin, end) and what begins or ends among them.
  void write(MatrixWriter& to, Index begin, Index end) const {
    Index row = 0;
    for (std::size_t r = 0; r < records_.size(); ++r) {
      const Index rows = spec_.per_base ? records_[r].length : 1;
      const bool last = r + 1 == records_.size();
      // What has no rows belongs to the part that the next row is in.
      if (row >= begin && (row < end || (rows == 0 && end == kRows))) {
        to.begin_record(records_[r]);
      }
      for (Index i = 0; i < rows; ++i, ++row) {
        if (row < begin || row >= end) continue;
        const std::vector<float> values = row_of(row);
        to.rows({values.data(), {1, kWide}});
      }
      const Index at = rows == 0 ? row : row - 1;
      if (at >= begin && (at < end || (last && end == kRows))) to.end_record();
    }
  }

  // A part beside the others in `folder`; its path.
  std::string part(const fs::path& folder, Index i, Index begin, Index end) const {
    const std::string output = (folder / "o.zarr").string();
    const Facts facts{{"shards", "3"}};
    const std::string name = output + ".shard-" + std::to_string(i) + "-of-3";
    Journal kept({name + ".kept", name, facts, Resume::automatic, 1e9});
    KeptMatrix rows(nullptr, spec_, kept);
    write(rows, begin, end);
    Journal made({name + ".new", name, facts, Resume::never, 1e9});
    write_zarr_shard([&](const auto& frames) { kept.replay(frames); }, spec_, begin,
                     shard_folder(output, facts), made);
    made.commit("finished");
    made.rename_to(name, true);
    return name;
  }

  void merge(const fs::path& folder, const std::vector<std::string>& parts) const {
    const std::string output = (folder / "o.zarr").string();
    const auto writer = open_zarr_merge({output, "zarr", true}, spec_);
    MatrixReplay to(*writer, spec_, shard_folder(output, {{"shards", "3"}}));
    for (const std::string& part : parts) {
      replay_part(read_part(part), [&](std::string_view frames) { to(frames); });
    }
    writer->finish();
  }

  const MatrixSpec& spec() const { return spec_; }

 private:
  MatrixSpec spec_;
  std::vector<RowLabel> records_;
};

TEST(Zarr, PartsCutAnywhereGiveTheSameStore) {
  ASSERT_EQ(zarr_block(wide(true)), 5);
  for (const bool per_base : {false, true}) {
    const Job job(per_base);
    const TemporaryFolder whole;
    const auto writer = open_matrix({(whole.path() / "o.zarr").string(), "", false}, job.spec());
    job.write(*writer, 0, Job::kRows);
    writer->finish();
    const auto expected = files_of(whole.path() / "o.zarr");
    ASSERT_TRUE(expected.contains("embeddings/4.0"));
    for (const auto& [a, b] : std::vector<std::pair<Index, Index>>{{0, 0},
                                                                   {0, 21},
                                                                   {21, 21},
                                                                   {1, 2},
                                                                   {4, 6},
                                                                   {5, 10},
                                                                   {5, 11},
                                                                   {9, 20},
                                                                   {7, 8},
                                                                   {3, 21}}) {
      const TemporaryFolder folder;
      const std::vector<std::string> parts{job.part(folder.path(), 1, 0, a),
                                           job.part(folder.path(), 2, a, b),
                                           job.part(folder.path(), 3, b, Job::kRows)};
      job.merge(folder.path(), parts);
      EXPECT_EQ(files_of(folder.path() / "o.zarr"), expected) << per_base << ' ' << a << ' ' << b;
    }
  }
}

TEST(Zarr, ChunksAreNotBelieved) {
  const Job job(true);
  const TemporaryFolder folder;
  const std::vector<std::string> parts{job.part(folder.path(), 1, 0, 12),
                                       job.part(folder.path(), 2, 12, 13),
                                       job.part(folder.path(), 3, 13, Job::kRows)};
  const fs::path chunk =
      fs::path(shard_folder((folder.path() / "o.zarr").string(), {{"shards", "3"}})) /
      "embeddings/1.0";
  const std::string good = slurp(chunk);
  fs::remove(chunk);
  expect_refusal(Fault::missing, {"embeddings/1.0", "missing"},
                 [&] { job.merge(folder.path(), parts); });
  std::ofstream(chunk, std::ios::binary) << good.substr(1);
  expect_refusal(Fault::input, {"embeddings/1.0", "damaged"},
                 [&] { job.merge(folder.path(), parts); });
  std::ofstream(chunk, std::ios::binary) << good;
  expect_refusal(Fault::input, {"do not fit together"}, [&] {
    job.merge(folder.path(), {parts[0], parts[2]});
  });
  expect_refusal(Fault::input, {"do not fit together"}, [&] {
    job.merge(folder.path(), {parts[1], parts[2]});
  });
  job.merge(folder.path(), parts);
  EXPECT_TRUE(fs::exists(folder.path() / "o.zarr/.zgroup"));
}

}  // namespace
}  // namespace genossm::testing
