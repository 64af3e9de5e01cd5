#include "libgenossm/output/effect_plot.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "libgenossm/output/svg.h"

namespace genossm {
namespace {

constexpr double kCell = 12, kLeft = 60, kTop = 30, kLogo = 90, kGap = 22;

// From red (the change is unlikely) over white to blue.
std::string colour(double share) {
  const double s = std::clamp(share, -1.0, 1.0);
  const auto fade = [&](double full) {
    return static_cast<int>(std::lround(255 - std::abs(s) * (255 - full)));
  };
  char text[16];
  if (s < 0) {
    std::snprintf(text, sizeof text, "#%02x%02x%02x", fade(178), fade(24), fade(43));
  } else {
    std::snprintf(text, sizeof text, "#%02x%02x%02x", fade(33), fade(102), fade(172));
  }
  return text;
}

std::string rounded(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", value);
  return text;
}

class Drawing {
 public:
  explicit Drawing(const EffectPlot& plot)
      : plot_(plot),
        svg_(kLeft + kCell * static_cast<double>(plot.bases.size()) + 20,
             map_top() + kCell * static_cast<double>(plot.rows.size()) + 40) {
    for (const float score : plot.scores) {
      if (std::isfinite(score)) largest_ = std::max(largest_, std::abs(double{score}));
    }
  }

  std::string svg() {
    svg_.text(kLeft, 16, plot_.title, "font-size=\"12\"");
    logo();
    map();
    axis();
    return svg_.finish();
  }

 private:
  static double map_top() { return kTop + kLogo + kGap; }
  double x_of(std::size_t i) const { return kLeft + kCell * static_cast<double>(i); }
  float score(std::size_t base, std::size_t row) const {
    return plot_.scores[base * plot_.rows.size() + row];
  }

  // What the changes of a base bring on average, the base itself left out.
  double loss(std::size_t base) const {
    double sum = 0;
    int n = 0;
    for (std::size_t row = 0; row < std::min<std::size_t>(4, plot_.rows.size()); ++row) {
      const float s = score(base, row);
      if (plot_.rows[row][0] == plot_.bases[base] || !std::isfinite(s)) continue;
      sum -= double{s};
      ++n;
    }
    return n > 0 ? sum / n : 0;
  }

  void logo() {
    double tallest = 1e-9;
    for (std::size_t i = 0; i < plot_.bases.size(); ++i) {
      tallest = std::max(tallest, std::abs(loss(i)));
    }
    const double middle = kTop + kLogo * 0.75;
    svg_.line(kLeft, middle, x_of(plot_.bases.size()), middle, "#888888");
    svg_.text(4, middle - 30, "loss", "fill=\"#444444\"");
    for (std::size_t i = 0; i < plot_.bases.size(); ++i) {
      // It hangs below the line where changes are likelier.
      const double share = loss(i) / tallest;
      const double tall = std::abs(share) * kLogo * (share > 0 ? 0.75 : 0.25);
      svg_.letter(x_of(i) + 0.06 * kCell, share > 0 ? middle - tall : middle, 0.88 * kCell, tall,
                  plot_.bases[i]);
    }
  }

  void map() {
    for (std::size_t row = 0; row < plot_.rows.size(); ++row) {
      const double y = map_top() + kCell * static_cast<double>(row);
      svg_.text(kLeft - 6, y + 10, plot_.rows[row], "text-anchor=\"end\"");
      for (std::size_t i = 0; i < plot_.bases.size(); ++i) {
        const float s = score(i, row);
        const bool none = !std::isfinite(s);
        svg_.rect(x_of(i), y, kCell, kCell,
                  none ? kFaint : colour(largest_ > 0 ? double{s} / largest_ : 0));
      }
    }
    svg_.text(kLeft, map_top() - 8,
              "red: less likely than the reference, down to -" + rounded(largest_) +
                  "; blue: more, up to " + rounded(largest_),
              "fill=\"#444444\"");
  }

  void axis() {
    const double y = map_top() + kCell * static_cast<double>(plot_.rows.size());
    for (std::size_t i = 0; i < plot_.bases.size(); ++i) {
      const Index place = plot_.begin + static_cast<Index>(i) + 1;
      // The first place has its number where the next one leaves room.
      if (place % 10 == 0 || (i == 0 && place % 10 < 6)) {
        svg_.text(x_of(i), y + 14, std::to_string(place), "fill=\"#444444\"");
      }
    }
    svg_.text(kLeft, y + 30, plot_.contig, "fill=\"#444444\"");
  }

  const EffectPlot& plot_;
  double largest_ = 0;
  Svg svg_;
};

}  // namespace

std::string effect_svg(const EffectPlot& plot) { return Drawing(plot).svg(); }

}  // namespace genossm
