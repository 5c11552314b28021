# What Doxygen reads of our comments: the first paragraph is the summary, and tables of tensors, which are indented by three
# spaces, keep their columns as Markdown's blocks of code, which are by four or more.
/^ *\/\/\// {
  if (!inside) sub(/\/\/\/ /, "/// \\brief ")
  else if ($0 ~ /^ *\/\/\/   /) sub(/\/\/\//, "///    ")
  inside = 1
}
!/^ *\/\/\// { inside = 0 }
{ print }
