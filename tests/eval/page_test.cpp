#include "ibot/eval/page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ibot/eval/line_chart.h"
#include "ibot/eval/report.h"

namespace ibot::eval {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Source of the texts: RFC 4648, section 10.
TEST(Page, EmbedsPictures) {
  for (const auto& [bytes, text] :
       {std::pair{"foobar", "Zm9vYmFy"}, {"fooba", "Zm9vYmE="}, {"foob", "Zm9vYg=="}, {"", "\""}}) {
    Page page("t");
    page.figure({"a picture", "image/png", bytes});
    EXPECT_THAT(page.html(), HasSubstr(std::string("src=\"data:image/png;base64,") + text));
  }
}

TEST(Page, ShowsNamesAsTheyAre) {
  Page page("a <b> & \"c\"");
  page.table({"", {"<i>"}, {{"x < y"}}});
  const auto html = page.html();
  EXPECT_THAT(html, HasSubstr("<h1>a &lt;b&gt; &amp; &quot;c&quot;</h1>"));
  EXPECT_THAT(html, HasSubstr("<td>x &lt; y</td>"));
  EXPECT_THAT(html, Not(HasSubstr("<i>")));
}

TEST(Page, HoldsAReportAndFetchesNothing) {
  Report report{"knn",
                {{"top1", 61.25}, {"loss", std::nan("")}},
                {{"k", std::vector<int64_t>{1, 2}}},
                "w.pth",
                "images"};
  report.identity = {{"method", "knn 1"}};
  report.table = "top-1\n61.25\n";
  report.figures.push_back({"curve", "image/svg+xml", to_svg({"t", "x", "y", {}})});
  Page page("knn");
  add_report(page, report);
  const auto html = page.html();
  for (const char* text : {"<td>61.25</td>", "<td>-</td>", "<td>1, 2</td>", "knn 1", "<svg ",
                           "<pre>top-1\n61.25\n</pre>", "w.pth"}) {
    EXPECT_THAT(html, HasSubstr(text));
  }
  EXPECT_THAT(html, Not(HasSubstr("src=\"http")));
  EXPECT_THAT(html, Not(HasSubstr("href")));
}

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(LineChart, HasAMarkAtEveryPointAndNoneWhereThereIsNoNumber) {
  const auto svg = to_svg({"a & b",
                           "dropped",
                           "top-1",
                           {{"one", {0, 1, 2}, {70, std::nan(""), 20}}, {"two", {0}, {5}}}});
  EXPECT_EQ(count(svg, "<circle "), 3u);
  EXPECT_THAT(svg, HasSubstr("<title>one: 2, 20</title>"));
  EXPECT_THAT(svg, HasSubstr("a &amp; b"));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

// 0 to 70 in steps of 20: the axis ends at 80.
TEST(LineChart, AxesHaveRoundNumbers) {
  const auto svg = to_svg({"", "", "", {{"c", {0, 0.9}, {0, 70}}}});
  for (const char* number : {">0.8<", ">1<", ">20<", ">80<"}) EXPECT_THAT(svg, HasSubstr(number));
  EXPECT_THAT(svg, Not(HasSubstr(">90<")));
}

TEST(LineChart, IsWholeWithoutPointsOrRange) {
  for (const auto& chart : {LineChart{}, LineChart{"", "", "", {{"flat", {1, 1}, {3, 3}}}}}) {
    const auto svg = to_svg(chart);
    EXPECT_THAT(svg, Not(HasSubstr("nan")));
    EXPECT_THAT(svg, Not(HasSubstr("inf")));
    EXPECT_THAT(svg, HasSubstr("</svg>"));
  }
}

}  // namespace
}  // namespace ibot::eval
