#include "libgenossm/io/genome.h"

#include <algorithm>
#include <unordered_map>

#include "kernels/core/error.h"
#include "libgenossm/base/text.h"
#include "libgenossm/io/fasta_index.h"
#include "libgenossm/io/letters.h"

namespace genossm {
namespace {

// "chr20" for "20" and the other way round, where the file has that.
std::string other_spelling(const std::string& contig) {
  return contig.starts_with("chr") ? contig.substr(3) : "chr" + contig;
}

}  // namespace

struct Genome::Impl {
  explicit Impl(IndexedFasta f) : fasta(std::move(f)) {
    for (std::size_t i = 0; i < fasta.contigs.size(); ++i) {
      names.push_back(fasta.contigs[i].name);
      place.emplace(fasta.contigs[i].name, i);
    }
  }

  const Contig& find(const std::string& contig) const {
    if (const auto found = place.find(contig); found != place.end()) {
      return fasta.contigs[found->second];
    }
    const std::string other = other_spelling(contig);
    fail(Fault::input, fasta.bytes.path() + ": has no contig '" + shown(contig) + "'" +
                           (place.count(other) ? "; it has '" + shown(other) + "'" : ""));
  }

  [[noreturn]] void refuse(const Contig& contig, Index at, const std::string& sentence) const {
    fail(Fault::input, fasta.bytes.path() + ": " + shown(contig.name) + ":" +
                           std::to_string(at + 1) + ": " + sentence);
  }

  // One run of bases inside a line.
  void append(const Contig& contig, Index at, std::string_view text, std::string& bases) const {
    constexpr std::uint8_t kNoBase = letters::kControl | letters::kWrong | letters::kBlank;
    if (letters::kinds(text) & kNoBase) {
      const std::size_t wrong = letters::find_kind(text, kNoBase);
      const bool line_end = text[wrong] == '\n' || text[wrong] == '\r';
      refuse(contig, at + static_cast<Index>(wrong),
             line_end ? "a line ends where " + fasta.bytes.path() +
                            ".fai has a base; remove the "
                            "index, it will be made again"
                      : letters::shown_byte(text[wrong]) + " is no nucleotide code");
    }
    bases.append(text);
  }

  IndexedFasta fasta;
  std::vector<std::string> names;
  std::unordered_map<std::string, std::size_t> place;
};

Genome::Genome(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Genome::~Genome() = default;
Genome::Genome(Genome&&) noexcept = default;
Genome& Genome::operator=(Genome&&) noexcept = default;

Genome Genome::open(const std::string& path) {
  return Genome(std::make_unique<Impl>(open_indexed_fasta(path)));
}

const std::vector<std::string>& Genome::contigs() const { return impl_->names; }
Index Genome::length(const std::string& contig) const { return impl_->find(contig).length; }
bool Genome::has(const std::string& contig) const { return impl_->place.count(contig) > 0; }
const std::vector<std::string>& Genome::warnings() const { return impl_->fasta.warnings; }

std::string Genome::fetch(const std::string& name, Index begin, Index end) const {
  const Contig& contig = impl_->find(name);
  if (begin < 0 || begin > end || end > contig.length) {
    fail(Fault::input, impl_->fasta.bytes.path() + ": " + shown(name) + ": bases " +
                           std::to_string(begin + 1) + " to " + std::to_string(end) +
                           " were asked for, it has " + std::to_string(contig.length));
  }
  std::string bases;
  if (begin == end) return bases;
  bases.reserve(static_cast<std::size_t>(end - begin));
  constexpr Index kChunk = 1024 * 1024;
  const Index last = contig.place(end - 1) + 1;
  std::string chunk;
  Index at = begin;  // the base that comes next
  for (Index from = contig.place(begin); from < last;) {
    chunk.resize(static_cast<std::size_t>(std::min(kChunk, last - from)));
    impl_->fasta.bytes.read(from, chunk);
    for (std::size_t i = 0; i < chunk.size();) {
      // Where in its line the byte lies decides whether it is a base or a part of the line's end.
      const Index column = (from + static_cast<Index>(i) - contig.offset) % contig.line_width;
      const std::size_t left = chunk.size() - i;
      if (column < contig.line_bases) {
        const std::size_t n = std::min(left, static_cast<std::size_t>(contig.line_bases - column));
        impl_->append(contig, at, std::string_view(chunk).substr(i, n), bases);
        at += static_cast<Index>(n);
        i += n;
      } else {
        if (chunk[i] != '\n' && chunk[i] != '\r') {
          impl_->refuse(contig, at,
                        "the line goes on where " + impl_->fasta.bytes.path() +
                            ".fai has its end; remove the index, it will be made again");
        }
        ++i;
      }
    }
    from += static_cast<Index>(chunk.size());
  }
  return bases;
}

}  // namespace genossm
