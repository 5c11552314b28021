// ibot-doctor: whether this machine can train, and how to mend what prevents it.
#include <CLI/App.hpp>
#include <functional>
#include <iostream>
#include <optional>

#include "common/device.h"
#include "common/local_ranks.h"
#include "common/logging.h"
#include "common/output_folder.h"
#include "common/ranks.h"
#include "common/run_main.h"
#include "ibot-doctor/checks.h"
#include "ibot/dist/rendezvous.h"

namespace ibot::apps {
namespace {

struct DoctorArguments {
  std::string output;
  std::string data;
  std::string device = "auto";
  std::optional<int64_t> nproc;
  bool json = false;
};

void add_doctor_arguments(CLI::App& app, DoctorArguments& arguments) {
  app.add_option("--output", arguments.output,
                 "folder for runs: tries its space, speed and locks with 64 MiB")
      ->option_text("DIR");
  app.add_option("--data", arguments.data, "image folder or shards: decodes a sample of it")
      ->option_text("DIR");
  app.add_option("--device", arguments.device, "where to compute (default: a GPU if there is one)")
      ->option_text("auto|cpu|cuda[:N]");
  add_nproc_argument(app, arguments.nproc);
  app.add_flag("--json", arguments.json, "print JSON");
}

void append(std::vector<Finding>& findings, const std::vector<Finding>& more) {
  findings.insert(findings.end(), more.begin(), more.end());
}

/// A folder or images that cannot be used at all are a finding as well.
std::vector<Finding> findings_of(const char* name, const char* remedy,
                                 const std::function<std::vector<Finding>()>& check) {
  try {
    return check();
  } catch (const Error& problem) {
    return {{name, Verdict::kFailed, problem.what(), remedy}};
  }
}

std::vector<Finding> examine(const DoctorArguments& arguments, const dist::Group& group) {
  auto findings = check_machine();
  append(findings, check_gpus());
  if (!arguments.output.empty()) {
    const auto unusable = findings_of("output", "name a folder that may be written to", [&] {
      if (group.rank() == 0) prepare_folder(arguments.output);
      return std::vector<Finding>{};
    });
    append(findings, unusable);
    // Also where the others would look before the first has made it.
    if (!group.any(!unusable.empty())) {
      append(findings, check_folder_use(arguments.output, group.rank()));
    }
  }
  if (!arguments.data.empty()) {
    append(findings, findings_of("images", "name a folder of images, or shards",
                                 [&] { return check_images(arguments.data); }));
  }
  return findings;
}

/// Rank 0 reports on itself and the network. Others, which may be on other machines, name what
/// fails there.
void report(const DoctorArguments& arguments, const dist::Group& group,
            const std::vector<Finding>& findings) {
  if (group.rank() == 0) {
    std::cout << (arguments.json ? json_of(findings) : text_of(findings));
    return;
  }
  for (const auto& finding : findings) {
    if (finding.verdict != Verdict::kFailed) continue;
    log_warning(concat("rank ", group.rank(), ": ", finding.name, ": ", finding.text, "; ",
                       finding.remedy));
  }
}

/// A GPU that was asked for and cannot be used is a finding, told with what the driver says.
int report_without_device(const DoctorArguments& arguments, const ConfigError& error) {
  auto findings = examine(arguments, {});
  findings.push_back({"device", Verdict::kFailed, error.what(),
                      "use --device cpu, or a build and a driver for GPUs"});
  report(arguments, {}, findings);
  return kRunFailed;
}

int run(const DoctorArguments& arguments, const std::vector<std::string>& words) {
  if (arguments.nproc) return run_local_ranks(*arguments.nproc, words, kEndGrace);
  torch::Device device = torch::kCPU;
  try {
    device = choose_device("--device", arguments.device, dist::launch_of_process());
  } catch (const ConfigError& error) {
    if (arguments.device.rfind("cuda", 0) != 0) throw;
    return report_without_device(arguments, error);
  }
  const auto group = join_ranks(device, {});
  auto findings = examine(arguments, group);
  findings.push_back(check_network(group, device));
  report(arguments, group, findings);
  return group.any(any_failed(findings)) ? kRunFailed : kDone;
}

}  // namespace
}  // namespace ibot::apps

int main(int argc, char** argv) {
  CLI::App app(
      "Checks versions, GPUs, shared memory, an output folder, images and, under a launcher, the "
      "network between ranks, and says how to mend what fails. Exits with 1 if something does.",
      "ibot-doctor");
  ibot::apps::DoctorArguments arguments;
  ibot::apps::add_doctor_arguments(app, arguments);
  return ibot::apps::run_main(app, argc, argv, [&] {
    return ibot::apps::run(arguments, ibot::apps::without_nproc(argc, argv));
  });
}
