curl -F image=@photo.jpg 'http://localhost:8080/predict?annotated=false'
