// Weights that a user names by the folder of the run that wrote them.
#pragma once

#include <string>
#include <vector>

namespace ibot::apps {

/// A file as it is. Of the folder of a run its last checkpoint, or of one that ibot-eval trained
/// the best one. Throws RequestError where a folder has none.
std::string weights_in(const std::string& where);

/// Which network of the file is meant where nobody says so: of the best checkpoint of a run of
/// ibot-eval the one that it trained, else the teacher.
std::string usual_key(const std::string& file);

/// A file as it is; of the folder of a run its trained segmentor or detector. Throws as weights_in.
std::string network_in(const std::string& where);

/// The same of linear classifiers.
std::string classifier_file_in(const std::string& where);

/// A short name for each of several weights, to call folders and rows by: of the run, or of the
/// file.
std::vector<std::string> short_names(const std::vector<std::string>& weights);

}  // namespace ibot::apps
