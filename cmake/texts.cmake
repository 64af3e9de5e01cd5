# What the program says of itself, as manual pages and as completion of shells: written by the
# program that was built, from the definitions that its --help is made of.
if(CMAKE_CROSSCOMPILING)
  message(STATUS "Cross-compiling: no manual pages and completions, which the program itself writes")
  return()
endif()
find_program(GENOSSM_GZIP gzip)
set(texts ${CMAKE_BINARY_DIR}/texts)
set(pack)
if(GENOSSM_GZIP)
  set(pack COMMAND sh -c "${GENOSSM_GZIP} -9nf ${texts}/man/*.1")
endif()
add_custom_command(
  OUTPUT ${texts}/written
  COMMAND ${CMAKE_COMMAND} -E rm -rf ${texts}
  COMMAND ${CMAKE_COMMAND} -E make_directory ${texts}/man
  COMMAND genossm help --man ${texts}/man
  ${pack}
  COMMAND genossm completion bash > ${texts}/genossm
  COMMAND genossm completion zsh > ${texts}/_genossm
  COMMAND genossm completion fish > ${texts}/genossm.fish
  COMMAND ${CMAKE_COMMAND} -E touch ${texts}/written
  DEPENDS genossm
  COMMENT "Writing manual pages and completions"
  VERBATIM)
add_custom_target(genossm_texts ALL DEPENDS ${texts}/written)

install(DIRECTORY ${texts}/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT runtime)
install(FILES ${texts}/genossm DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT runtime)
install(FILES ${texts}/_genossm DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions COMPONENT runtime)
install(FILES ${texts}/genossm.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d COMPONENT runtime)
