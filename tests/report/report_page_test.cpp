#include "ibot/report/report_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>

#include "ibot/base/natural_order.h"
#include "ibot/report/charts.h"
#include "support/temporary_folder.h"

namespace ibot::report {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

RunRecord run_named(const std::string& name, double shift = 0) {
  RunRecord run;
  run.name = name;
  run.task = "pretrain";
  run.step = 20;
  run.epochs = 2;
  run.total_epochs = 4;
  run.keys = {{"optim.lr", std::to_string(shift)}, {"train.epochs", "4"}};
  run.by_step["loss"] = {{10, 20}, {7.123456789012345 + shift, 6.5 + shift}};
  run.by_step["grad_norm"] = {{10, 20}, {3, std::nan("")}};
  run.by_step["skipped"] = {{10, 20}, {0, 0}};
  run.evaluations = {{"knn", 10, 0, {{"top1_k20", 40 + shift}, {"top1_k100", 39}}},
                     {"knn", 20, 1, {{"top1_k20", 41 + shift}, {"top1_k100", 38}}}};
  run.results = {{"loss", 6.5 + shift}, {"knn.top1_k20", 41 + shift}, {"knn.top1_k100", 38}};
  return run;
}

/// The charts that the page's scripts would draw, by title.
std::map<std::string, Json> charts_in(const std::string& html) {
  static const std::string kBegin = "<script type=\"application/json\">";
  std::map<std::string, Json> charts;
  for (auto at = html.find(kBegin); at != std::string::npos; at = html.find(kBegin, at + 1)) {
    const auto begin = at + kBegin.size();
    auto chart = Json::parse(html.substr(begin, html.find("</script>", begin) - begin));
    const auto title = chart["title"].get<std::string>();
    charts[title] = std::move(chart);
  }
  return charts;
}

TEST(ReportPage, OfAStepEvaluatedTwiceTheNewerValueIsShown) {
  auto run = run_named("a");
  run.evaluations.push_back({"knn", 10, 0, {{"top1_k20", 44}}});
  const auto charts = charts_in(report_html({run}));
  const auto& curve = charts.at("knn top1_k20")["curves"][0];
  EXPECT_EQ(curve["x"], Json::array({10, 20}));
  EXPECT_EQ(curve["y"], Json::array({44, 41}));
}

TEST(ReportPage, ChartsHoldTheValuesOfAllRuns) {
  const auto charts = charts_in(report_html({run_named("a"), run_named("b", 1)}));
  ASSERT_TRUE(charts.contains("loss"));
  const auto& curves = charts.at("loss")["curves"];
  ASSERT_EQ(curves.size(), 2u);
  EXPECT_EQ(curves[1]["name"], "b");
  EXPECT_EQ(curves[0]["x"], Json({10.0, 20.0}));
  EXPECT_EQ(curves[0]["y"][0].get<double>(), 7.123456789012345);
  EXPECT_TRUE(charts.at("gradient norm")["curves"][0]["y"][1].is_null());
  EXPECT_EQ(charts.at("knn top1_k20")["curves"][1]["y"], Json({41.0, 42.0}));
  EXPECT_FALSE(charts.contains("skipped steps"));
}

TEST(ReportPage, ShowsTablesAndFaults) {
  auto run = run_named("a");
  run.faults = {{15, 1, "skipped", "loss is not finite"}};
  run.bad_samples = {{0, "broken.jpg", "truncated"}};
  run.problems = {"metrics.jsonl: lines that cannot be read: 1"};
  const auto html = report_html({run, run_named("b", 1)});
  for (const char* text : {"<td>optim.lr</td>", "<td>1.000000</td>", "loss is not finite",
                           "broken.jpg", "lines that cannot be read: 1", "unfinished, epoch 2 of 4",
                           "skipped steps 0", "<td>42</td>"}) {
    EXPECT_THAT(html, HasSubstr(text));
  }
  EXPECT_LT(html.find("<th>top1_k20</th>"), html.find("<th>top1_k100</th>"));
}

TEST(ReportPage, NamesAreShownAsTheyAre) {
  auto run = run_named("<img src=x onerror=alert(1)>");
  run.keys["data.path"] = "</script><b>\xff";
  run.faults = {{1, 0, "<i>", "</td>"}};
  run.evaluations[0].name = "</script><script>alert(1)</script>";
  run.evaluations[1].name = run.evaluations[0].name;
  const auto html = report_html({run});
  EXPECT_THAT(html, Not(HasSubstr("<img src=x")));
  EXPECT_THAT(html, Not(HasSubstr("<script>alert")));
  EXPECT_THAT(html, Not(HasSubstr("</script><b>")));
  EXPECT_TRUE(charts_in(html).contains(run.evaluations[0].name + " top1_k20"));
}

TEST(ReportPage, FetchesNothing) {
  const auto html = report_html({run_named("a")});
  const std::regex fetched("(src|href|action)\\s*=\\s*[\"']?\\s*(https?:|//)|[^a-z]url\\(|@import",
                           std::regex::icase);
  for (size_t at = 0; at < html.size(); at += 4096) {
    EXPECT_FALSE(std::regex_search(html.substr(at, 4096 + 64), fetched)) << at;
  }
  EXPECT_THAT(html, HasSubstr("default-src 'none'"));
  EXPECT_THAT(html, HasSubstr("Copyright (c) 2022 Leon Sorokin"));
}

TEST(ReportPage, TakesRunsWithoutAnything) {
  EXPECT_THAT(report_html({RunRecord{}}), HasSubstr("</html>"));
  EXPECT_THAT(report_html({}), HasSubstr("0 runs"));
}

// 45 learning rates of a linear probe are one chart, not 45.
TEST(RunCharts, QuantitiesThatDifferInANumberShareAChart) {
  RunRecord run;
  run.name = "probe";
  for (const int head : {0, 1, 2, 10, 11, 12}) {
    run.by_epoch["test_acc" + std::to_string(head) + "@1"] = {{0, 1}, {1. * head, 50}};
  }
  const auto groups = run_charts({run});
  ASSERT_EQ(groups.size(), 1u);
  ASSERT_EQ(groups[0].charts.size(), 1u);
  ASSERT_EQ(groups[0].charts[0].curves.size(), 6u);
  EXPECT_EQ(groups[0].charts[0].title, "test_acc…@1");
  EXPECT_EQ(groups[0].charts[0].curves[3].name, "probe · 10");
  EXPECT_THAT(groups[0].charts[0].curves[3].x, ElementsAre(1, 2));  // epochs counted from 1
}

TEST(RunCharts, WhatStepsTellIsNotDrawnByEpochAgain) {
  auto run = run_named("a");
  for (const char* key :
       {"train_loss", "train_grad_norm", "train_nmi", "test_acc1", "train_adjacc"}) {
    run.by_epoch[key] = {{0, 1}, {1, 2}};
  }
  RunRecord task, official;
  task.name = "task";
  official.name = "official";
  official.by_epoch["train_loss"] = {{0, 1}, {3, 2}};
  const auto titles = [](const std::vector<RunRecord>& runs) {
    std::vector<std::string> list;
    for (const auto& group : run_charts(runs)) {
      if (group.title != "Epochs") continue;
      for (const auto& chart : group.charts) list.push_back(chart.title);
    }
    return list;
  };
  EXPECT_THAT(titles({run, task}), ElementsAre("train_nmi"));
  EXPECT_THAT(titles({run, official}),
              ElementsAre("test_acc1", "train_grad_norm", "train_loss", "train_nmi"));
}

// A spike of one step among 100 000 is what one looks for.
TEST(RunCharts, LongCurvesKeepMeansAndExtremes) {
  Series series;
  for (int i = 0; i < 100'000; ++i) {
    series.x.push_back(i);
    series.y.push_back(i < 600 ? std::nan("") : i % 2);
  }
  series.y[77'777] = 50;
  series.y[33'333] = -50;
  const auto curve = curve_of("a", series, 800);  // 200 intervals of 500 points
  ASSERT_EQ(curve.x.size(), 200u);
  EXPECT_EQ(curve.x[10], 5250);
  EXPECT_TRUE(std::isnan(curve.y[0]) && std::isnan(curve.low[0]) && std::isnan(curve.high[0]));
  EXPECT_EQ(curve.y[1], 0.5);  // of the 400 that are numbers
  EXPECT_EQ(curve.high[155], 50);
  EXPECT_EQ(curve.low[66], -50);
  EXPECT_DOUBLE_EQ(curve.y[155], (250 + 49) / 500.);
  EXPECT_TRUE(curve_of("a", {{1, 2}, {3, 4}}, 2).low.empty());
}

TEST(RunCharts, HundredsOfRunsStaySmall) {
  std::vector<RunRecord> runs;
  for (int i = 0; i < 300; ++i) {
    auto& run = runs.emplace_back();
    run.name = "run " + std::to_string(i);
    for (const char* key : {"loss", "lr", "grad_norm", "feature_rank"}) {
      for (int step = 0; step < 2000; ++step) {
        run.by_step[key].x.push_back(step);
        run.by_step[key].y.push_back(step + 0.5);
      }
    }
  }
  size_t points = 0;
  for (const auto& group : run_charts(runs)) {
    for (const auto& chart : group.charts) {
      EXPECT_THAT(chart.note, HasSubstr("intervals of up to 2000 points"));
      for (const auto& curve : chart.curves) {
        points += curve.x.size() + curve.y.size() + curve.low.size() + curve.high.size();
      }
    }
  }
  EXPECT_GT(points, 120'000u);
  EXPECT_LE(points, 240'000u);
}

TEST(NaturalOrder, ComparesNumbersAsNumbers) {
  std::vector<std::string> names{"k200", "k10", "k100", "k", "a2b10", "a2b9", "k010"};
  std::sort(names.begin(), names.end(), natural_less);
  EXPECT_THAT(names, ElementsAre("a2b9", "a2b10", "k", "k010", "k10", "k100", "k200"));
}

/// What a browser makes of the page; empty without one.
std::string dom_of(const std::string& html) {
  if (std::system("command -v chromium >/dev/null 2>&1") != 0) return "";
  const ::ibot::testing::TemporaryFolder folder;
  std::ofstream(folder / "page.html") << html;
  const auto command =
      "chromium --headless --no-sandbox --disable-gpu --virtual-time-budget=3000 "
      "--user-data-dir='" +
      (folder / "profile").string() + "' --dump-dom 'file://" + (folder / "page.html").string() +
      "' 2>/dev/null";
  std::string dom;
  auto* const pipe = ::popen(command.c_str(), "r");
  std::array<char, 4096> part{};
  while (const size_t size = std::fread(part.data(), 1, part.size(), pipe)) {
    dom.append(part.data(), size);
  }
  ::pclose(pipe);
  return dom;
}

TEST(ReportPage, ABrowserDrawsItsCharts) {
  const auto dom = dom_of(report_html({run_named("a<b"), run_named("c", 1)}));
  if (dom.empty()) GTEST_SKIP() << "chromium is not installed";
  EXPECT_THAT(dom, HasSubstr("data-drawn=\"2\""));
  EXPECT_THAT(dom, HasSubstr("<canvas"));
  EXPECT_THAT(dom, HasSubstr("aria-label=\"show a&lt;b\""));
}

TEST(RunCharts, ARunHasItsColorInEveryChart) {
  auto first = run_named("a"), second = run_named("b");
  second.by_step["grad_norm"] = {{5, 10}, {1, 2}};
  first.by_step.erase("grad_norm");
  bool seen = false;
  for (const auto& group : run_charts({first, second})) {
    for (const auto& chart : group.charts) {
      for (const auto& curve : chart.curves) {
        EXPECT_EQ(curve.color.value_or(0), curve.color && curve.name == "b" ? 1u : 0u)
            << chart.title;
      }
      if (chart.title == "gradient norm") {
        seen = true;
        EXPECT_EQ(chart.curves.at(0).color, 1u);
      }
    }
  }
  EXPECT_TRUE(seen);
}

}  // namespace
}  // namespace ibot::report
