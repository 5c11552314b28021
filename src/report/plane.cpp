#include "ibot/report/plane.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "ibot/eval/page.h"

namespace ibot::report {
namespace {

constexpr double kPerplexity = 30;
constexpr int64_t kInputDims = 50;  // of t-SNE: further ones are mostly noise
// Constants of scikit-learn's t-SNE (van der Maaten & Hinton 2008).
constexpr int kEarlySteps = 250;
constexpr int kSteps = 750;
constexpr double kExaggeration = 12;

/// [S, S], of rows.
torch::Tensor squared_distances(const torch::Tensor& rows) {
  const auto norms = rows.square().sum(1);
  // ‖a‖² + ‖b‖² - 2 a·b, which rounding can make negative.
  return (norms.unsqueeze(1) + norms.unsqueeze(0) - 2 * rows.mm(rows.t())).clamp_min(0);
}

/// Probabilities of neighbors, symmetric, with widths that give each point the perplexity.
torch::Tensor neighbor_probabilities(const torch::Tensor& features, double perplexity) {
  const auto count = features.size(0);
  const auto distances = squared_distances(features);
  const auto itself = torch::eye(count, torch::kBool);
  auto low = torch::zeros({count, 1}, torch::kDouble);
  auto high = torch::full({count, 1}, INFINITY, torch::kDouble);
  auto beta = 1 / distances.mean().clamp_min(1e-12).expand({count, 1});
  torch::Tensor shares;
  for (int step = 0; step < 64; ++step) {  // bisection
    shares = torch::softmax((-distances * beta).masked_fill(itself, -INFINITY), 1);
    const auto entropy = -torch::xlogy(shares, shares).sum(1, true);
    const auto wide = entropy > std::log(perplexity);
    low = torch::where(wide, beta, low);
    high = torch::where(wide, high, beta);
    // β = 1 / (2 σ²): doubled until a bound is known, then halved in.
    beta = torch::where(torch::isinf(high), beta * 2, (low + high) / 2);
  }
  // p_ij = (p_j|i + p_i|j) / (2 S).
  return ((shares + shares.t()) / (2.0 * static_cast<double>(count))).clamp_min(1e-12);
}

/// Derivative of the divergence by the points.
torch::Tensor gradient(const torch::Tensor& probabilities, const torch::Tensor& points) {
  // Student's t with one degree of freedom, the kernel of the plane.
  auto weights = 1 / (1 + squared_distances(points));
  weights.fill_diagonal_(0);
  const auto pull = (probabilities - weights / weights.sum()) * weights;  // [S, S]
  // 4 Σ_j (p_ij - q_ij) w_ij (y_i - y_j), without a tensor of all differences.
  return 4 * (pull.sum(1, true) * points - pull.mm(points));
}

std::string color_of(int64_t label, size_t classes) {
  // Hues a golden angle apart differ for any number of classes.
  const auto hue = std::fmod(210 + 137.508 * static_cast<double>(label), 360);
  std::ostringstream color;
  color << "hsl(" << std::lround(hue) << ",65%," << (classes > 12 && label % 2 == 1 ? 58 : 42)
        << "%)";
  return color.str();
}

}  // namespace

torch::Tensor principal_components(const torch::Tensor& features, int64_t dims) {
  const torch::NoGradGuard no_grad;
  auto rows = features.to(torch::kCPU, torch::kDouble);
  rows = rows - rows.mean(0, true);
  const auto [left, lengths, right] = at::linalg_svd(rows, /*full_matrices=*/false);
  const auto found = std::min(dims, lengths.size(0));
  const auto directions = right.narrow(0, 0, found);  // [found, F]
  // The sign of a direction is arbitrary: its largest entry becomes positive, on every machine.
  const auto largest = directions.abs().argmax(1, true);
  auto coordinates = rows.mm(directions.t()) * directions.gather(1, largest).sign().t();
  if (found == dims) return coordinates;
  return torch::cat({coordinates, torch::zeros({rows.size(0), dims - found}, torch::kDouble)}, 1);
}

torch::Tensor tsne(const torch::Tensor& features) {
  const torch::NoGradGuard no_grad;
  const auto count = features.size(0);
  if (count < 4) return principal_components(features, 2);
  const auto input = principal_components(features, std::min(kInputDims, features.size(1)));
  // A point has no more neighbors than there are others.
  const auto perplexity = std::min(kPerplexity, static_cast<double>(count - 1) / 3);
  const auto probabilities = neighbor_probabilities(input, perplexity);
  // Starts from the first two components, so that equal features give equal planes.
  auto points = principal_components(features, 2);
  points = points / points.select(1, 0).std().clamp_min(1e-12) * 1e-4;
  // scikit-learn's learning_rate="auto".
  const double rate = std::max(static_cast<double>(count) / kExaggeration / 4, 50.0);
  auto velocity = torch::zeros_like(points);
  auto gains = torch::ones_like(points);
  for (int step = 0; step < kSteps; ++step) {
    const bool early = step < kEarlySteps;
    const auto slope = gradient(early ? probabilities * kExaggeration : probabilities, points);
    // Steps grow where the direction stays, and shrink where it turns.
    gains = torch::where(slope.sign() != velocity.sign(), gains + 0.2, gains * 0.8).clamp_min(0.01);
    velocity = (early ? 0.5 : 0.8) * velocity - rate * gains * slope;
    points = points + velocity;
  }
  return points - points.mean(0, true);
}

std::string scatter_svg(const std::string& title, const torch::Tensor& points,
                        const torch::Tensor& labels, const std::vector<std::string>& classes,
                        const std::vector<std::string>& names) {
  constexpr double kSide = 420, kTop = 34, kMargin = 10;
  constexpr size_t kLegend = 12;
  const bool legend = labels.defined() && classes.size() <= kLegend;
  const double bottom = legend ? 18.0 * static_cast<double>((classes.size() + 2) / 3) + 8 : 0;
  const auto place = points.to(torch::kDouble);
  const auto low = std::get<0>(place.min(0)), high = std::get<0>(place.max(0));
  const auto scaled = ((place - low) / (high - low).clamp_min(1e-12)).contiguous();
  std::ostringstream out;
  out << "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " << kSide << ' '
      << kTop + kSide + bottom << "\" width=\"" << kSide
      << "\" font-family=\"sans-serif\" font-size=\"12\">\n"
      << "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"" << kSide / 2
      << "\" y=\"20\" text-anchor=\"middle\" font-size=\"15\">" << eval::html_text(title)
      << "</text>\n";
  for (int64_t i = 0; i < scaled.size(0); ++i) {
    const auto label = labels.defined() ? labels[i].item<int64_t>() : 0;
    const auto name = labels.defined() ? classes[static_cast<size_t>(label)] + ": " : "";
    out << "<circle cx=\"" << kMargin + scaled[i][0].item<double>() * (kSide - 2 * kMargin)
        << "\" cy=\"" << kTop + kMargin + (1 - scaled[i][1].item<double>()) * (kSide - 2 * kMargin)
        << "\" r=\"3.5\" fill-opacity=\"0.8\" fill=\"" << color_of(label, classes.size())
        << "\"><title>" << eval::html_text(name + names[static_cast<size_t>(i)])
        << "</title></circle>\n";
  }
  for (size_t i = 0; legend && i < classes.size(); ++i) {
    const double x = kMargin + static_cast<double>(i % 3) * kSide / 3;
    const double y = kTop + kSide + 18 * static_cast<double>(i / 3) + 12;
    out << "<circle cx=\"" << x << "\" cy=\"" << y - 4 << "\" r=\"4\" fill=\""
        << color_of(static_cast<int64_t>(i), classes.size()) << "\"/><text x=\"" << x + 8
        << "\" y=\"" << y << "\">" << eval::html_text(classes[i]) << "</text>\n";
  }
  out << "</svg>\n";
  return out.str();
}

}  // namespace ibot::report
