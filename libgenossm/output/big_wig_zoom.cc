#include "libgenossm/output/big_wig_zoom.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "kernels/core/error.h"
#include "libgenossm/output/little.h"

namespace genossm {
namespace {

constexpr std::uint32_t kFirst = 10, kStep = 4;
constexpr std::size_t kRecordBytes = 32;
constexpr std::size_t kBlockRecords = 1024;  // fill the 32 KiB that the header allows a block
constexpr std::size_t kChildren = 256;       // of a node of the index
constexpr std::uint64_t kLevelHeaders = 64;
constexpr std::uint32_t kMagic = 0x888FFC26, kIndexMagic = 0x2468ACE0;

void put_float(std::string& out, double value) {
  const auto single = static_cast<float>(value);
  std::uint32_t bits = 0;
  std::memcpy(&bits, &single, sizeof bits);
  put_little(out, bits);
}

}  // namespace

BigWigZoom::BigWigZoom(const std::string& temporary, std::string label, int threads)
    : label_(std::move(label)),
      waiting_(
          ::open(temporary.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600)),
      packed_(threads, zlib_packed) {
  if (waiting_ < 0) refuse(errno);
  ::unlink(temporary.c_str());
  std::uint32_t size = kFirst;
  for (int i = 0; i < kMostLevels; ++i, size *= kStep) levels_.emplace_back().size = size;
}

BigWigZoom::~BigWigZoom() { ::close(waiting_); }

void BigWigZoom::refuse(int code) const {
  fail(Fault::output,
       label_ + ": cannot be written (" + std::generic_category().message(code) + ")");
}

void BigWigZoom::add(std::uint32_t contig, std::uint32_t length, std::uint32_t begin,
                     std::span<const float> values) {
  if (contig != contig_) {
    for (std::size_t i = 0; i < levels_.size(); ++i) close(i, length_);
    contig_ = contig;
  }
  length_ = length;
  Record& open = levels_[0].open;
  for (std::size_t i = 0; i < values.size();) {
    const double first = values[i];
    take(0, {contig, begin, begin + 1, 1, values[i], values[i], first, first * first}, length);
    ++begin;
    ++i;
    // The rest of the bin.
    for (; i < values.size() && begin < open.end; ++begin, ++i) {
      const float value = values[i];
      const double wide = value;
      ++open.count;
      open.least = std::min(open.least, value);
      open.most = std::max(open.most, value);
      open.sum += wide;
      open.squares += wide * wide;
    }
  }
}

void BigWigZoom::take(std::size_t level, const Record& part, std::uint32_t length) {
  Level& l = levels_[level];
  if (l.open.count > 0 && part.begin >= l.open.end) close(level, length);
  Record& open = l.open;
  if (open.count == 0) {
    open = part;
    open.begin = part.begin / l.size * l.size;
    open.end = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(length, std::uint64_t{open.begin} + l.size));
    return;
  }
  open.count += part.count;
  open.least = std::min(open.least, part.least);
  open.most = std::max(open.most, part.most);
  open.sum += part.sum;
  open.squares += part.squares;
}

// The bin is full, or nothing follows on its contig: a part of a bin of the next level.
void BigWigZoom::close(std::size_t level, std::uint32_t length) {
  Level& l = levels_[level];
  const Record record = l.open;
  if (record.count == 0) return;
  l.open = Record();
  if (l.packed.empty()) {
    l.block.first_contig = record.contig;
    l.block.begin = record.begin;
  }
  l.block.last_contig = record.contig;
  l.block.end = record.end;
  for (const std::uint32_t n : {record.contig, record.begin, record.end, record.count}) {
    put_little(l.packed, n);
  }
  for (const double v : {double{record.least}, double{record.most}, record.sum, record.squares}) {
    put_float(l.packed, v);
  }
  ++l.records;
  if (l.packed.size() == kBlockRecords * kRecordBytes) flush(l);
  if (level + 1 < levels_.size()) take(level + 1, record, length);
}

void BigWigZoom::flush(Level& level) {
  if (level.packed.empty()) return;
  unplaced_.emplace_back(&level - levels_.data(), level.blocks.size());
  level.blocks.push_back(level.block);
  packed_.add(level.packed, [this](std::string_view bytes) { put(bytes); });
  level.packed.clear();
}

void BigWigZoom::put(std::string_view packed) {
  const auto [level, number] = unplaced_.front();
  unplaced_.pop_front();
  Block& block = levels_[level].blocks[number];
  block.at = waiting_bytes_;
  block.bytes = packed.size();
  write(waiting_, packed, waiting_bytes_);
  waiting_bytes_ += packed.size();
}

void BigWigZoom::write(int descriptor, std::string_view bytes, std::uint64_t at) const {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) refuse(n < 0 ? errno : ENOSPC);
    bytes.remove_prefix(static_cast<std::size_t>(n));
    at += static_cast<std::uint64_t>(n);
  }
}

// The tree of the level's blocks as it stands at `at`: a root, then each row of nodes below it.
std::string BigWigZoom::index_of(const Level& level, std::uint64_t at) const {
  // Rows of nodes from the leaves up; a node is the range of its children in the row below.
  std::vector<std::vector<Block>> rows{level.blocks};
  while (rows.back().size() > 1 || rows.size() == 1) {
    const std::vector<Block>& below = rows.back();
    std::vector<Block> row;
    for (std::size_t i = 0; i < below.size(); i += kChildren) {
      const Block& last = below[std::min(below.size(), i + kChildren) - 1];
      row.push_back({below[i].first_contig, below[i].begin, last.last_contig, last.end, 0, 0});
    }
    rows.push_back(std::move(row));
  }
  std::string out;
  put_little(out, kIndexMagic);
  put_little(out, static_cast<std::uint32_t>(kChildren));
  put_little(out, static_cast<std::uint64_t>(level.blocks.size()));
  const Block& all = rows.back().front();
  for (const std::uint32_t n : {all.first_contig, all.begin, all.last_contig, all.end}) {
    put_little(out, n);
  }
  put_little(out, at);  // the end of the data
  put_little(out, static_cast<std::uint32_t>(kBlockRecords));
  put_little(out, std::uint32_t{0});
  std::uint64_t next = at + out.size();
  for (std::size_t r = rows.size() - 1; r > 0; --r) {
    const std::vector<Block>& below = rows[r - 1];
    const bool leaf = r == 1;
    const std::uint64_t item = leaf ? 32 : 24, child_item = r == 2 ? 32 : 24;
    std::uint64_t child = next + 4 * rows[r].size() + item * below.size();
    next = child;
    for (std::size_t i = 0; i < below.size(); i += kChildren) {
      const std::size_t n = std::min(kChildren, below.size() - i);
      out += leaf ? '\1' : '\0';
      out += '\0';
      put_little(out, static_cast<std::uint16_t>(n));
      for (std::size_t k = i; k < i + n; ++k) {
        const Block& b = below[k];
        for (const std::uint32_t v : {b.first_contig, b.begin, b.last_contig, b.end}) {
          put_little(out, v);
        }
        put_little(out, leaf ? b.at : child);
        if (leaf) {
          put_little(out, b.bytes);
        } else {
          const std::size_t children = std::min(kChildren, rows[r - 2].size() - k * kChildren);
          child += 4 + child_item * children;
        }
      }
    }
  }
  return out;
}

void BigWigZoom::append_to(int descriptor) {
  for (std::size_t i = 0; i < levels_.size(); ++i) close(i, length_);
  for (Level& level : levels_) flush(level);
  packed_.flush([this](std::string_view bytes) { put(bytes); });
  struct stat status = {};
  if (::fstat(descriptor, &status) != 0) refuse(errno);
  auto end = static_cast<std::uint64_t>(status.st_size);
  if (end >= 4) end -= 4;  // the signature comes last
  std::string headers, bytes;
  std::uint16_t levels = 0;
  std::uint64_t records = 0;
  for (Level& level : levels_) {
    // One record a contig says what the summary of the file says.
    if (level.blocks.empty() || level.records == records) break;
    records = level.records;
    const std::uint64_t data = end;
    std::string head;
    put_little(head, static_cast<std::uint32_t>(level.blocks.size()));
    write(descriptor, head, end);
    end += head.size();
    for (Block& block : level.blocks) {
      bytes.resize(block.bytes);
      if (::pread(waiting_, bytes.data(), bytes.size(), static_cast<off_t>(block.at)) !=
          static_cast<ssize_t>(bytes.size())) {
        refuse(EIO);
      }
      write(descriptor, bytes, end);
      block.at = end;
      end += bytes.size();
    }
    const std::string index = index_of(level, end);
    write(descriptor, index, end);
    put_little(headers, level.size);
    put_little(headers, std::uint32_t{0});
    put_little(headers, data);
    put_little(headers, end);
    end += index.size();
    ++levels;
  }
  std::string signature, count;
  put_little(signature, kMagic);
  put_little(count, levels);
  write(descriptor, signature, end);
  write(descriptor, headers, kLevelHeaders);
  write(descriptor, count, 6);
}

}  // namespace genossm
