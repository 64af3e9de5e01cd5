#include "libgenossm/output/tsv.h"

#include "libgenossm/output/text_file.h"

namespace genossm {
namespace {

class TsvWriter : public TableWriter {
 public:
  TsvWriter(const OutputRequest& request, bool compressed,
            const std::vector<std::string>& header_lines)
      : file_(request.path, request.force, compressed, request.threads) {
    for (const std::string& text : header_lines) file_.line(text);
  }
  void line(std::string_view text) override { file_.line(text); }
  void finish() override { file_.publish(); }

 private:
  TextFile file_;
};

}  // namespace

std::unique_ptr<TableWriter> open_table(const OutputRequest& request,
                                        const std::vector<std::string>& header_lines) {
  const std::string type = output_type(request, {"tsv", "tsv.gz"}, "tsv");
  return std::make_unique<TsvWriter>(request, type == "tsv.gz", header_lines);
}

}  // namespace genossm
