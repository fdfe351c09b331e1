export { type Choices, choices } from "../../src/testing/simulation/Choices.ts"
