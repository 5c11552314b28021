#include "common/run_report.h"

#include "common/logging.h"
#include "common/run_pictures.h"
#include "ibot/base/error.h"
#include "ibot/io/file.h"
#include "ibot/report/report_page.h"
#include "ibot/report/run_record.h"

namespace ibot::apps {

void write_run_report(const std::filesystem::path& output, const config::RunConfig& config,
                      torch::Device device, const std::vector<report::PictureSection>& more) {
  const auto page = output / "report.html";
  log_info("report: " + page.string());
  try {
    auto pictures = run_pictures(output, config, device);
    pictures.insert(pictures.end(), more.begin(), more.end());
    io::write_file(page, report::report_html({report::read_run(output)}, pictures));
  } catch (const std::exception& problem) {
    log_warning(concat("report: ", problem.what(), "; `ibot-report ", output.string(),
                       "` writes it later"));
  }
}

}  // namespace ibot::apps
